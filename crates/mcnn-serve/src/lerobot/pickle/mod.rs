//! LeRobot's messages are Python pickles. This reads the few that its client sends, and writes the reply.
//!
//! A pickle is a program for a stack machine that can call any Python function by name. The machine here knows the instructions that
//! plain data need and the names of [`Global`] alone; calling one builds a value of this module and nothing else. Every other name is an
//! error. Work and memory are bounded by the length of the message.

mod machine;
mod messages;
mod numpy;
mod write;

pub use messages::{Instructions, TimedObservation, instructions, observation};
pub use write::actions;

use mcnn::error::{Error, Kind, Result};

use crate::codec::Array;

/// A Python object: its place in [`Objects`].
type Id = usize;

/// All objects of a message. An object may be in several others, and even in itself.
struct Objects<'a>(Vec<Object<'a>>);

/// An object.
#[derive(Debug, Clone)]
enum Object<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    /// A dataclass of LeRobot, and the dict of its fields.
    Instance(Global, Option<Id>),
    /// A NumPy type, by its name and byte order.
    Dtype(&'a str, char),
    /// A NumPy array; before BUILD without contents.
    Array(Option<Array<'a>>),
    /// A NumPy scalar.
    Scalar(f64),
}

/// The names that a message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Global {
    RemotePolicyConfig,
    TimedObservation,
    NumpyArray,
    NumpyDtype,
    NumpyReconstruct,
    NumpyFromBuffer,
    NumpyScalar,
}

impl Global {
    fn named(module: &str, name: &str) -> Result<Self> {
        // NumPy 2 has `_core` where NumPy 1 has `core`.
        let module_of_both = module.replace("numpy._core", "numpy.core");
        Ok(match (module_of_both.as_str(), name) {
            ("lerobot.async_inference.helpers" | "lerobot.scripts.server.helpers", "RemotePolicyConfig") => {
                Self::RemotePolicyConfig
            }
            ("lerobot.async_inference.helpers" | "lerobot.scripts.server.helpers", "TimedObservation") => {
                Self::TimedObservation
            }
            ("numpy", "ndarray") => Self::NumpyArray,
            ("numpy", "dtype") => Self::NumpyDtype,
            ("numpy.core.multiarray", "_reconstruct") => Self::NumpyReconstruct,
            ("numpy.core.multiarray", "scalar") => Self::NumpyScalar,
            ("numpy.core.numeric", "_frombuffer") => Self::NumpyFromBuffer,
            _ => {
                let shown: String = format!("{module}.{name}").chars().take(200).collect();
                return Err(Error::new(Kind::Data, "a message that names what it may not")
                    .expected(
                        "LeRobot's TimedObservation or RemotePolicyConfig, of numbers, text and NumPy arrays",
                    )
                    .found(shown));
            }
        })
    }
}

fn broken(what: &str) -> Error {
    Error::new(Kind::Data, what).at("a pickle of LeRobot's client")
}

#[cfg(test)]
mod tests;
