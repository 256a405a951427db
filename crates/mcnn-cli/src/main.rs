//! The command line of mcnn.
fn main() {}
