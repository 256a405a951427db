//! The messages of `lerobot/transport/services.proto`, service `AsyncInference`.

/// Which piece of an observation a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum TransferState {
    /// None.
    Unknown = 0,
    /// The first of several.
    Begin = 1,
    /// Neither the first nor the last.
    Middle = 2,
    /// The last, or the only one.
    End = 3,
}

/// A piece of a pickled `TimedObservation`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Observation {
    #[prost(enumeration = "TransferState", tag = "1")]
    pub transfer_state: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

/// A pickled `list[TimedAction]`; empty if there is none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Actions {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// A pickled `RemotePolicyConfig`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PolicySetup {
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// Nothing.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Empty {}
