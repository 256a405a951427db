//! Versions of a policy file: complete copies in a folder beside it, and a log of how each version was made. The current version
//! is the one with the same content hash as the policy file, so the log cannot disagree with the file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mcnn::{Error, Result, atomic, error::Kind, file::fingerprint};
use serde::{Deserialize, Serialize};

use crate::beside::PolicyFolder;

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Counted from 0, the policy before the first change.
    pub version: usize,
    /// The version that was changed; none of a policy that no change here has made.
    pub from: Option<usize>,
    /// The change that made it.
    pub what: String,
    /// Number of memories.
    pub memories: usize,
    /// Content hash of the file.
    pub fingerprint: String,
}

/// The versions of a policy file.
pub struct Versions {
    policy: PathBuf,
    folder: PolicyFolder,
    all: Vec<Version>,
}

impl Versions {
    /// Reads the versions beside a policy file; none where there is no folder yet.
    ///
    /// # Errors
    /// If the log cannot be read, or the folder is another policy's.
    pub fn of(policy: &Path) -> Result<Self> {
        let folder = PolicyFolder::new(policy, ".versions");
        folder.check_owner()?;
        let log = folder.path().join("log.json");
        let all = match fs::read(&log) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::new(Kind::File, "the log of versions cannot be read")
                    .at(log.display().to_string())
                    .found(e.to_string())
                    .next("move that folder away; the policy itself does not need it")
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("reading", &log, &e)),
        };
        Ok(Self { policy: policy.to_path_buf(), folder, all })
    }

    /// The versions to list: none, if the folder is another policy's.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn listed(policy: &Path) -> Result<Vec<Version>> {
        if PolicyFolder::new(policy, ".versions").check_owner().is_err() {
            return Ok(Vec::new());
        }
        Ok(Self::of(policy)?.all)
    }

    /// What to do if there are no versions because an earlier version of mcnn gave their folder another name.
    pub fn earlier_name(&self) -> Option<String> {
        self.folder.earlier_name()
    }

    pub fn all(&self) -> &[Version] {
        &self.all
    }

    /// The version with this fingerprint, the newest if there are several.
    pub fn present(&self, fingerprint: &str) -> Option<&Version> {
        present(&self.all, fingerprint)
    }

    /// Makes a new version and writes it to the policy file. The old content of the file is saved first, unless a version has it.
    /// `old` and `new` are the bytes of the file and its number of memories.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn advance(&mut self, old: (&[u8], usize), new: (&[u8], usize), what: String) -> Result<Version> {
        let from = self.find_or_save(old)?;
        let version = self.save(Some(from), new, what)?;
        atomic::write(&self.policy, new.0)?;
        Ok(version)
    }

    /// Writes the bytes of another version to the policy file. The old content of the file is saved first, unless a version has
    /// it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn go(&mut self, old: (&[u8], usize), new: &[u8]) -> Result<()> {
        self.find_or_save(old)?;
        atomic::write(&self.policy, new)
    }

    /// The version with these bytes, saved now if there is none.
    fn find_or_save(&mut self, content: (&[u8], usize)) -> Result<usize> {
        if let Some(version) = self.present(&fingerprint(content.0)) {
            return Ok(version.version);
        }
        let what = if self.all.is_empty() { "as it was trained" } else { "as it was found" };
        Ok(self.save(None, content, what.into())?.version)
    }

    /// Reads the bytes of a version.
    ///
    /// # Errors
    /// If its file cannot be read or has changed.
    pub fn bytes(&self, version: &Version) -> Result<Vec<u8>> {
        let path = self.file(version.version);
        let bytes = fs::read(&path).map_err(|e| Error::io("reading", &path, &e))?;
        if fingerprint(&bytes) != version.fingerprint {
            return Err(Error::new(Kind::File, "the file of this version has changed")
                .at(path.display().to_string())
                .expected(format!("fingerprint {:.12}", version.fingerprint)));
        }
        Ok(bytes)
    }

    /// Adds a version to the folder and the log.
    fn save(
        &mut self,
        from: Option<usize>,
        (bytes, memories): (&[u8], usize),
        what: String,
    ) -> Result<Version> {
        self.folder.create()?;
        let version = self.all.last().map_or(0, |last| last.version + 1);
        atomic::write(&self.file(version), bytes)?;
        let version = Version { version, from, what, memories, fingerprint: fingerprint(bytes) };
        self.all.push(version.clone());
        let text = serde_json::to_vec_pretty(&self.all).expect("versions are plain values");
        atomic::write(&self.folder.path().join("log.json"), &text)?;
        Ok(version)
    }

    fn file(&self, version: usize) -> PathBuf {
        self.folder.path().join(format!("{version}.safetensors"))
    }
}

/// The version with this fingerprint, the newest if there are several.
pub fn present<'a>(versions: &'a [Version], fingerprint: &str) -> Option<&'a Version> {
    versions.iter().rev().find(|v| v.fingerprint == fingerprint)
}
