//! Names of files and folders beside an output, and the stem of a file's name. Each is derived from the whole name: a dot in it does
//! not begin an ending (`pol-0.1`).

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use mcnn::{Error, Result, atomic, error::Kind};
use serde::{Deserialize, Serialize};

/// Endings of the files that this program reads and writes.
const ENDINGS: [&str; 6] = [".safetensors", ".npz", ".hdf5", ".h5", ".html", ".jsonl"];

/// A file's name without folders and without the ending of its format.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ENDINGS.iter().find_map(|ending| without(&name, ending)).unwrap_or(&name).to_owned()
}

fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    name.strip_suffix(ending).filter(|stem| !stem.is_empty())
}

/// The path beside `path` with `suffix` in place of the ending `ending`, or after the whole name if it has another ending or none.
pub fn beside(path: &Path, ending: &str, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    let stem = name.to_str().and_then(|name| without(name, ending));
    let mut name = stem.map_or(name.to_owned(), OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

/// A folder beside a policy. A file in it says which policy's it is, because two names can have one folder (`p` and
/// `p.safetensors`).
#[derive(Debug, Clone)]
pub struct PolicyFolder {
    policy: PathBuf,
    suffix: &'static str,
    path: PathBuf,
}

/// The file that says whose folder it is.
#[derive(Serialize, Deserialize)]
struct Owner {
    /// The file name of the policy.
    policy: String,
}

impl PolicyFolder {
    /// The folder of a policy: of `policy.safetensors` and the suffix `.run`, `policy.run`.
    pub fn new(policy: &Path, suffix: &'static str) -> Self {
        let path = beside(policy, ".safetensors", suffix);
        Self { policy: policy.to_path_buf(), suffix, path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn owner(&self) -> PathBuf {
        self.path.join("owner.json")
    }

    fn policy_name(&self) -> String {
        self.policy.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Checks that the folder is not another policy's. A folder of an earlier version, which does not say whose it is, passes; so
    /// does one that was renamed together with its policy.
    ///
    /// # Errors
    /// If it is.
    pub fn check_owner(&self) -> Result<()> {
        let owner = fs::read(self.owner()).ok().and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
        let Some(Owner { policy }) = owner else { return Ok(()) };
        let is_others = policy != self.policy_name()
            && beside(&self.policy.with_file_name(&policy), ".safetensors", self.suffix) == self.path;
        if !is_others {
            return Ok(());
        }
        Err(Error::new(Kind::Mismatch, "the folder belongs to another policy")
            .at(self.path.display().to_string())
            .expected(format!("the folder of {}", self.policy_name()))
            .found(format!("that of {policy}"))
            .next("give the policy another name, or move the folder away"))
    }

    /// Creates the folder, with the file that says whose it is.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(|e| Error::io("creating the folder", &self.path, &e))?;
        let owner = Owner { policy: self.policy_name() };
        let text = serde_json::to_string(&owner).expect("plain values") + "\n";
        atomic::write(&self.owner(), text.as_bytes())
    }

    /// What to do if the folder is missing because an earlier version gave it another name, which it derived from the part of the
    /// policy's name before the last dot.
    pub fn earlier_name(&self) -> Option<String> {
        let earlier = self.policy.with_extension(&self.suffix[1..]);
        let is_unclaimed = earlier != self.path && earlier.is_dir() && !earlier.join("owner.json").exists();
        is_unclaimed.then(|| {
            format!(
                "if {} is the folder of this policy, from an earlier version of mcnn, rename it to {}",
                earlier.display(),
                self.path.display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_a_name_does_not_begin_an_ending() {
        let run = |name: &str| beside(Path::new(name), ".safetensors", ".run").display().to_string();
        assert_eq!(run("a/p.safetensors"), "a/p.run");
        assert_eq!(run("pol-0.1"), "pol-0.1.run");
        assert_eq!(run("pol-0.1.safetensors"), "pol-0.1.run");
        assert_eq!(run("p.bin"), "p.bin.run");
        assert_eq!(run(".safetensors"), ".safetensors.run");
        assert_eq!(beside(Path::new("v0.2"), ".html", ".bc.safetensors"), Path::new("v0.2.bc.safetensors"));
        let stems =
            ["a/pol-0.1", "pol-0.2.safetensors", "drive.v2.npz", "x", ".npz"].map(|p| stem(Path::new(p)));
        assert_eq!(stems, ["pol-0.1", "pol-0.2", "drive.v2", "x", ".npz"]);
    }

    #[test]
    fn a_folder_says_whose_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| PolicyFolder::new(&folder.path().join(name), ".run");
        let own = of("p.safetensors");
        own.check_owner().unwrap();
        own.create().unwrap();
        own.check_owner().unwrap();
        let refused = of("p").check_owner().unwrap_err().to_string();
        assert!(
            refused.contains("belongs to another policy") && refused.contains("p.safetensors"),
            "{refused}"
        );
        fs::rename(own.path(), of("q.safetensors").path()).unwrap();
        of("q.safetensors").check_owner().expect("renamed together with its policy");
        // As earlier versions named it.
        fs::create_dir(folder.path().join("pol-0.run")).unwrap();
        assert!(of("pol-0.1").earlier_name().unwrap().contains("pol-0.1.run"));
        assert!(of("p.safetensors").earlier_name().is_none());
    }
}
