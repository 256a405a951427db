//! The option `--device`.

use clap::Args;

use super::word;

/// Where many states are compared with many memories, or frames embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    Auto,
    Cpu,
    Gpu,
}

#[derive(Args, Debug, Clone)]
pub struct DeviceArgs {
    /// Where distances of many states to many memories are computed: auto (a GPU for large data, if the program was built with
    /// GPU support and there is one), cpu or gpu. The results are the same.
    #[arg(long, default_value = "auto", value_parser = device, value_name = "DEVICE", help_heading = "Computation")]
    pub device: Device,
}

pub(super) fn device(text: &str) -> Result<Device, String> {
    word(text, "auto, cpu or gpu")
}
