//! What the metadata of a file of columns say.

use serde::{Deserialize, Serialize};

use crate::{
    data::DimensionNames,
    error::{Error, Kind, Result},
};

/// The kind of the file, as in the headers of all files of mcnn.
const KIND: &str = "demonstrations";

/// The version of the layout that is written, and the newest one that is read.
const VERSION: u32 = 1;

/// The value of the metadata key `mcnn`, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    kind: String,
    version: u32,
    /// Names of the dimensions.
    #[serde(flatten)]
    pub names: Names,
    /// The encoder of the states, as JSON, if they are embeddings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Steps per second, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
    /// The texts of tasks, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
}

/// Names of the dimensions of states and actions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Names {
    #[serde(skip_serializing_if = "Option::is_none")]
    state_names: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_names: Option<Vec<String>>,
}

impl About {
    /// The metadata of new columns.
    pub fn new(names: &DimensionNames, encoding: Option<&str>, fps: Option<f64>, tasks: Vec<String>) -> Self {
        let DimensionNames { state_names, action_names } = names.clone();
        Self {
            kind: KIND.into(),
            version: VERSION,
            names: Names { state_names, action_names },
            encoding: encoding.map(str::to_owned),
            fps,
            tasks,
        }
    }

    /// Parses the metadata.
    ///
    /// # Errors
    /// Another kind of file, a newer version, and text that is not such JSON.
    pub fn parse(text: &str) -> Result<Self> {
        let error = |what: &str| Error::new(Kind::File, what).at("the metadata key \"mcnn\"");
        let about: Self = serde_json::from_str(text)
            .map_err(|e| error("the metadata of the columns cannot be read").found(e.to_string()))?;
        if about.kind != KIND {
            return Err(error("a file of mcnn of another kind").expected(KIND).found(about.kind));
        }
        if !(1..=VERSION).contains(&about.version) {
            return Err(error("columns of a version that this program cannot read")
                .expected(format!("version 1 to {VERSION}"))
                .found(format!("version {}", about.version))
                .next("read it with the version of mcnn that wrote it, or a newer one"));
        }
        if about.fps.is_some_and(|fps| !(fps.is_finite() && fps > 0.0)) {
            return Err(error("a frame rate that is not above 0"));
        }
        Ok(about)
    }

    /// The names of the dimensions.
    pub fn dimension_names(&self) -> DimensionNames {
        let Names { state_names, action_names } = self.names.clone();
        DimensionNames { state_names, action_names }
    }
}
