//! The folder that `python/get_mujoco.sh` creates: `lib/` (libmujoco.so, found by the dynamic linker), `assets/` (the
//! scenes) and `versions` (the pinned packages that both came from).

use mcnn::{Error, Result, error::Kind, task::adroit::Adroit};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The environment variable that names the folder at run time.
pub const VARIABLE: &str = "MCNN_MUJOCO";
const REQUIREMENTS: &str = include_str!("../../../python/requirements.txt");
const FETCH: &str = "run python/get_mujoco.sh, or set MCNN_MUJOCO to the folder that it created";

/// The folder that MCNN_MUJOCO names, or else the one that this crate was built with.
///
/// # Errors
/// If neither is known.
pub fn find() -> Result<PathBuf> {
    let named = env::var_os(VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    named.or_else(|| option_env!("ADROIT_MUJOCO").map(PathBuf::from)).ok_or_else(|| {
        Error::new(Kind::Task, "the folder with the scenes of the Adroit hand is not known").next(FETCH)
    })
}

/// Checks that a folder contains the pinned versions.
///
/// # Errors
/// If the file `versions` is missing or lists other versions.
pub fn check(folder: &Path) -> Result<()> {
    let found = match fs::read_to_string(folder.join("versions")) {
        Ok(text) if text.trim_end() == pinned(REQUIREMENTS).join("\n") => return Ok(()),
        Ok(text) => text.trim_end().replace('\n', ", "),
        Err(e) => format!("no file `versions` ({e})"),
    };
    Err(Error::new(Kind::Task, "the folder does not contain the required versions of the Adroit scenes")
        .at(folder.display().to_string())
        .expected(pinned(REQUIREMENTS).join(", "))
        .found(found)
        .next(FETCH))
}

/// The path of a task's scene (MJCF).
pub fn scene(folder: &Path, task: Adroit) -> PathBuf {
    folder.join(format!("assets/adroit_hand/adroit_{}.xml", task.name()))
}

/// The pinned packages, as in `versions`: sorted and without duplicates (requirements.txt has a line for each tag of a package).
fn pinned(requirements: &str) -> Vec<&str> {
    let pins = requirements.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut pins: Vec<&str> =
        pins.filter(|pin| pin.starts_with("mujoco==") || pin.starts_with("gymnasium-robotics==")).collect();
    pins.sort_unstable();
    pins.dedup();
    pins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_those_of_two_packages_without_duplicates() {
        let text = "# what\ngymnasium==1 # worker\nmujoco==3.1   # worker\ngymnasium-robotics==2 # tests\nmujoco==3.1 # bench\n";
        assert_eq!(pinned(text), ["gymnasium-robotics==2", "mujoco==3.1"]);
        assert_eq!(pinned(REQUIREMENTS).len(), 2);
    }

    #[test]
    fn a_folder_with_missing_or_other_versions_is_refused_with_the_command_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let message = check(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("no file `versions`") && message.contains("python/get_mujoco.sh"),
            "{message}"
        );
        fs::write(folder.path().join("versions"), "gymnasium-robotics==1.0\nmujoco==2.0\n").unwrap();
        let message = check(folder.path()).unwrap_err().to_string();
        assert!(message.contains("gymnasium-robotics==1.0, mujoco==2.0"), "{message}");
        fs::write(folder.path().join("versions"), pinned(REQUIREMENTS).join("\n") + "\n").unwrap();
        check(folder.path()).unwrap();
    }
}
