//! The device on which many states are compared with many memories: `--device`. The results are the same on every device.

use std::sync::Arc;

use mcnn::{
    Result,
    memory::{BatchSearch, BatchSearchStats, batch_search_stats, set_batch_search},
};

use crate::{args::Device, say::say};

/// Sets the device of this process.
///
/// # Errors
/// If it is a GPU, and the program was built without or there is none that can be used.
pub fn choose(device: Device) -> Result<()> {
    set_batch_search(match device {
        Device::Cpu => None,
        Device::Auto => automatic(),
        Device::Gpu => Some(gpu()?),
    });
    Ok(())
}

/// What the GPU has searched; `None` if it has not been used. Warns if it failed.
pub fn stats() -> Option<BatchSearchStats> {
    let stats = batch_search_stats().filter(|stats| stats.queries > 0 || stats.failure.is_some())?;
    if let Some(failure) = &stats.failure {
        say(format!("warning: the processor searched in place of the GPU, with the same results: {failure}"));
    }
    Some(stats)
}

#[cfg(feature = "gpu")]
fn automatic() -> Option<Arc<dyn BatchSearch>> {
    Some(Arc::new(mcnn_gpu::Auto::default()))
}

#[cfg(feature = "gpu")]
fn gpu() -> Result<Arc<dyn BatchSearch>> {
    Ok(Arc::new(mcnn_gpu::Gpu::open()?))
}

#[cfg(not(feature = "gpu"))]
fn automatic() -> Option<Arc<dyn BatchSearch>> {
    None
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Result<Arc<dyn BatchSearch>> {
    use mcnn::{Error, error::Kind};
    Err(Error::new(Kind::Settings, "this program was built without GPU support")
        .at("--device gpu")
        .expected("auto or cpu")
        .next("build it with GPU support (`cargo build --release -p mcnn-cli --features gpu`), or leave the option out: the results are the same"))
}
