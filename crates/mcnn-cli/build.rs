//! With the feature `adroit`, tells the program where MuJoCo's library was when it was built.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MUJOCO_DYNAMIC_LINK_DIR");
    if let (Ok(_), Ok(lib)) =
        (std::env::var("CARGO_FEATURE_ADROIT"), std::env::var("MUJOCO_DYNAMIC_LINK_DIR"))
    {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
