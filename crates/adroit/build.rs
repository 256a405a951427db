//! Tells the crate where MuJoCo's files were when it was built, and its tests and examples where the library is.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=MUJOCO_DYNAMIC_LINK_DIR");
    let Ok(lib) = env::var("MUJOCO_DYNAMIC_LINK_DIR") else {
        return; // linked in a way of the user's own
    };
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    if let Some(folder) = Path::new(&lib).parent() {
        println!("cargo::rustc-env=ADROIT_MUJOCO={}", folder.display());
    }
}
