//! The tests of the server through its ports, in one program.

mod common;
mod frames;
mod hostile;
mod lerobot_client;
mod openpi_client;
mod protocol;
mod watching;
