//! Versions of a policy file: whole copies in a folder beside it, and a log of what made each from which. The present
//! version is the one whose bytes the file has, so that nothing can disagree.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mcnn::{Error, Result, atomic, error::Kind, file::fingerprint};
use serde::{Deserialize, Serialize};

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Counted from 0, the policy as it was before the first change.
    pub version: usize,
    /// The version it was made from; none of a file that came from elsewhere.
    pub from: Option<usize>,
    /// What made it.
    pub what: String,
    /// Memories in it.
    pub memories: usize,
    pub fingerprint: String,
}

/// The versions of a policy file.
pub struct Versions {
    policy: PathBuf,
    folder: PathBuf,
    all: Vec<Version>,
}

impl Versions {
    /// Those beside a policy file; none where there is no folder yet.
    pub fn of(policy: &Path) -> Result<Self> {
        let folder = policy.with_extension("versions");
        let log = folder.join("log.json");
        let all = match fs::read(&log) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::new(Kind::File, "a log of versions that cannot be read")
                    .at(log.display().to_string())
                    .found(e.to_string())
                    .next("move that folder away: the policy itself needs none of it")
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("reading", &log, &e)),
        };
        Ok(Self { policy: policy.to_path_buf(), folder, all })
    }

    pub fn all(&self) -> &[Version] {
        &self.all
    }

    /// The version that has this fingerprint, the newest if there are several.
    pub fn present(&self, fingerprint: &str) -> Option<&Version> {
        self.all.iter().rev().find(|v| v.fingerprint == fingerprint)
    }

    /// Makes a new version of the policy file: keeps what it has now, if no version has that, and what it is to have; then
    /// exchanges the file. Answers with the new version.
    pub fn advance(&mut self, was: (&[u8], usize), is: (&[u8], usize), what: String) -> Result<Version> {
        let from = self.kept(was)?;
        let version = self.keep(Some(from), is, what)?;
        atomic::write(&self.policy, is.0)?;
        Ok(version)
    }

    /// Exchanges the policy file for the bytes of a version, having kept what it has now, if no version has that.
    pub fn go(&mut self, was: (&[u8], usize), is: &[u8]) -> Result<()> {
        self.kept(was)?;
        atomic::write(&self.policy, is)
    }

    /// The version that has these bytes, made now if there is none.
    fn kept(&mut self, was: (&[u8], usize)) -> Result<usize> {
        if let Some(version) = self.present(&fingerprint(was.0)) {
            return Ok(version.version);
        }
        let what = if self.all.is_empty() { "as it was trained" } else { "as it was found" };
        Ok(self.keep(None, was, what.into())?.version)
    }

    /// The bytes of a version.
    pub fn bytes(&self, version: &Version) -> Result<Vec<u8>> {
        let path = self.file(version.version);
        let bytes = fs::read(&path).map_err(|e| Error::io("reading", &path, &e))?;
        if fingerprint(&bytes) != version.fingerprint {
            return Err(Error::new(Kind::File, "a version that is not what it was")
                .at(path.display().to_string())
                .expected(format!("fingerprint {:.12}", version.fingerprint)));
        }
        Ok(bytes)
    }

    fn keep(
        &mut self,
        from: Option<usize>,
        (bytes, memories): (&[u8], usize),
        what: String,
    ) -> Result<Version> {
        fs::create_dir_all(&self.folder).map_err(|e| Error::io("making a folder", &self.folder, &e))?;
        let version = self.all.last().map_or(0, |last| last.version + 1);
        atomic::write(&self.file(version), bytes)?;
        let version = Version { version, from, what, memories, fingerprint: fingerprint(bytes) };
        self.all.push(version.clone());
        let text = serde_json::to_vec_pretty(&self.all).expect("versions are plain values");
        atomic::write(&self.folder.join("log.json"), &text)?;
        Ok(version)
    }

    fn file(&self, version: usize) -> PathBuf {
        self.folder.join(format!("{version}.safetensors"))
    }
}
