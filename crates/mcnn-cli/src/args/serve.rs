//! Options of the policy server.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::Args;
use mcnn::{data::KeyRange, vision::Weights};
use mcnn_serve::{Limits, Protocol};

use super::{
    GuardArgs, KnobArgs,
    frames::{Size, size},
    running::threads,
};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcnn serve policy.safetensors
  mcnn serve policy.safetensors --host 0.0.0.0 --api-key-file key.txt --guard hold
  mcnn serve policy.safetensors --watch   (and, meanwhile, `mcnn memory add`)")]
pub struct ServeArgs {
    /// Policy, from `mcnn train`.
    #[arg(value_name = "POLICY")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub knobs: KnobArgs,
    /// Protocol of the clients: openpi (websocket and msgpack, for the package openpi-client) or lerobot (gRPC, for the robot client of
    /// LeRobot's asynchronous inference).
    #[arg(long, default_value = "openpi", value_parser = protocol, value_name = "PROTOCOL", help_heading = "Server")]
    pub protocol: Protocol,
    /// IP address to listen on. 127.0.0.1: clients on this machine alone; 0.0.0.0: on all networks of the machine.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS", help_heading = "Server")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one [default: 8000; lerobot: 8080].
    #[arg(long, value_name = "PORT", help_heading = "Server")]
    pub port: Option<u16>,
    /// File with a key that clients must send (`WebsocketClientPolicy(api_key=...)`); LeRobot's client sends none [default: the
    /// environment variable MCNN_API_KEY, if it is set; else no key is needed].
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub api_key_file: Option<PathBuf>,
    /// Replace the policy between two actions when its file changes. A file that vanished or cannot be used is reported, and the
    /// policy read before stays.
    #[arg(long, help_heading = "Server")]
    pub watch: bool,
    /// Most sessions at once; further clients are refused.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=10_000),
          value_name = "COUNT", help_heading = "Server")]
    pub max_sessions: u16,
    /// Most mebibytes of a message. A session takes at most a few times this memory.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024),
          value_name = "MIB", help_heading = "Server")]
    pub max_message_mib: u16,
    /// Seconds after which a client is dropped that gives no sign of life. Answers to pings, which client libraries send by
    /// themselves, are one.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=1_000_000),
          value_name = "SECONDS", help_heading = "Server")]
    pub idle_timeout: u32,
    /// Actions computed in parallel, 1 to 1024 [default: the number of cores].
    #[arg(long, value_name = "COUNT", help_heading = "Server")]
    pub threads: Option<usize>,
    /// Actions in each reply [default: the execution horizon; 1 if actions are relative to the state]. With 1, clients send an
    /// observation for every action, and each action is constrained by the memory of its own observation.
    #[arg(long, value_name = "COUNT", help_heading = "Observations and actions")]
    pub actions_per_reply: Option<usize>,
    /// Keys of the request whose arrays make up the state, in this order, separated by commas; each may end in :FIRST-LAST for some of
    /// its dimensions [default: observation/state, state or observation.state; else the keys of the data; else the dimensions by name].
    #[arg(long, value_delimiter = ',', value_name = "KEYS", help_heading = "Observations and actions")]
    pub state_keys: Vec<KeyRange>,
    /// Keys of the camera frames, of a policy that acts on frames, in the order of its cameras [default: observation/image, image or observation.image, else
    /// the only image; of several cameras, their keys in the data].
    #[arg(
        long,
        alias = "image-key",
        value_delimiter = ',',
        value_name = "KEYS",
        help_heading = "Observations and actions"
    )]
    pub image_keys: Vec<String>,
    /// Height and width of the camera frames, where the policy's file does not say them.
    #[arg(long, value_parser = size, value_name = "HEIGHTxWIDTH", help_heading = "Observations and actions")]
    pub frame_size: Option<Size>,
    /// Of a policy that acts on frames: the WEIGHTS that were given to `mcnn embed`. Not needed if the policy's file contains its
    /// encoder (`mcnn train --encoder`) or the weights are random.
    #[arg(
        long = "encoder",
        value_name = "FILE|imagenet|random:SEED",
        help_heading = "Observations and actions"
    )]
    pub weights: Vec<Weights>,
    /// Seed of everything random in acting; each session draws its own numbers.
    #[arg(long, default_value_t = 0, value_name = "SEED", help_heading = "Observations and actions")]
    pub seed: u64,
    #[command(flatten)]
    pub guard: GuardArgs,
}

impl ServeArgs {
    /// The bounds of the server.
    pub fn limits(&self) -> mcnn::Result<Limits> {
        Ok(Limits {
            connections: self.max_sessions.into(),
            message_bytes: usize::from(self.max_message_mib) << 20,
            idle: Duration::from_secs(self.idle_timeout.into()),
            threads: threads(self.threads)?,
        })
    }

    /// The port, if none is named that of the protocol.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.protocol {
            Protocol::Openpi => 8000,
            #[cfg(feature = "lerobot")]
            Protocol::Lerobot => 8080,
        })
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "openpi" => Ok(Protocol::Openpi),
        #[cfg(feature = "lerobot")]
        "lerobot" => Ok(Protocol::Lerobot),
        #[cfg(feature = "lerobot")]
        _ => Err("expected openpi or lerobot".into()),
        #[cfg(not(feature = "lerobot"))]
        _ => Err("expected openpi".into()),
    }
}
