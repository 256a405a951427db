//! The API key.

use std::{io::Read as _, path::Path};

use mcnn::error::{Error, Kind, Result};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The most bytes of a key.
const MOST_BYTES: u64 = 4096;

/// The key that clients must send as `Authorization: Api-Key KEY`. Only its hash is stored.
#[derive(Clone)]
pub struct ApiKey([u8; 32]);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey")
    }
}

impl ApiKey {
    /// A key. White space around it does not count.
    ///
    /// # Errors
    /// An empty one, or characters that a header cannot have.
    pub fn new(key: &str) -> Result<Self> {
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(Kind::Settings, "a key that cannot be used")
                .expected("one word of printable ASCII characters, such as `openssl rand -hex 32` prints"));
        }
        Ok(Self(Sha256::digest(key).into()))
    }

    /// Reads the key of a file.
    ///
    /// # Errors
    /// If it cannot be read or used, or is longer than 4096 bytes.
    pub fn read(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| Error::io("reading", path, &e))?;
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|e| Error::io("reading", path, &e))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(Error::new(Kind::Settings, "a file that is too long for a key")
                .at(path.display().to_string())
                .expected(format!("at most {MOST_BYTES} bytes")));
        }
        Self::new(&text).map_err(|e| e.within(path.display()))
    }

    /// Whether a header's value has the key. It takes the same time for all keys of a length.
    pub fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let given = authorization.and_then(|value| value.strip_prefix(b"Api-Key ")).unwrap_or_default();
        let hash: [u8; 32] = Sha256::digest(given.trim_ascii()).into();
        hash.ct_eq(&self.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_is_admitted() {
        let key = ApiKey::new(" secret\n").unwrap();
        assert!(key.admits(Some(b"Api-Key secret")));
        for other in ["Api-Key secre", "Api-Key secrets", "secret", "Bearer secret", "Api-Key ", ""] {
            assert!(!key.admits(Some(other.as_bytes())), "{other}");
        }
        assert!(!key.admits(None));
        assert!(!format!("{key:?}").contains("secret"));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "k".repeat(4096)).unwrap();
        assert!(ApiKey::read(file.path()).is_ok());
        std::fs::write(&file, "k".repeat(4097)).unwrap();
        assert!(ApiKey::read(file.path()).unwrap_err().to_string().contains("at most 4096 bytes"));
        for unusable in ["", " \n", "two words", "schlüssel"] {
            assert!(ApiKey::new(unusable).is_err(), "{unusable:?}");
        }
    }
}
