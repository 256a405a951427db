//! The device of `--device`: on which many states are compared with many memories, with the same results on every device, and on which
//! `embed` runs a residual network, which rounds differently on a GPU.

use std::sync::Arc;

use mcnn::{
    Result,
    memory::{BatchSearch, BatchSearchStats, batch_search_stats, set_batch_search},
    vision::{BatchEmbed, Network},
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

/// Uploads a network to a device that is open.
pub type Upload = Box<dyn FnOnce(&Network) -> Result<Box<dyn BatchEmbed>>>;

/// Opens the device that embeds frames; `None`: the processor.
///
/// # Errors
/// As [`choose`].
pub fn embedding(device: Device) -> Result<Option<Upload>> {
    match device {
        Device::Auto | Device::Cpu => Ok(None),
        Device::Gpu => embedding_gpu().map(Some),
    }
}

#[cfg(feature = "gpu")]
fn automatic() -> Option<Arc<dyn BatchSearch>> {
    Some(Arc::new(mcnn_gpu::Auto::default()))
}

#[cfg(feature = "gpu")]
fn gpu() -> Result<Arc<dyn BatchSearch>> {
    Ok(Arc::new(mcnn_gpu::Gpu::open()?))
}

#[cfg(feature = "gpu")]
fn embedding_gpu() -> Result<Upload> {
    let gpu = mcnn_gpu::Embedder::open()?;
    Ok(Box::new(move |network: &Network| -> Result<Box<dyn BatchEmbed>> { Ok(Box::new(gpu.load(network)?)) }))
}

#[cfg(not(feature = "gpu"))]
fn automatic() -> Option<Arc<dyn BatchSearch>> {
    None
}

#[cfg(not(feature = "gpu"))]
fn gpu() -> Result<Arc<dyn BatchSearch>> {
    Err(no_support("the results are the same"))
}

#[cfg(not(feature = "gpu"))]
fn embedding_gpu() -> Result<Upload> {
    Err(no_support("embeddings differ in the last digits only"))
}

#[cfg(not(feature = "gpu"))]
fn no_support(otherwise: &str) -> mcnn::Error {
    use mcnn::{Error, error::Kind};
    Error::new(Kind::Settings, "this program was built without GPU support")
        .at("--device gpu")
        .expected("auto or cpu")
        .next(format!("build it with GPU support (`cargo build --release -p mcnn-cli --features gpu`), or leave the option out: {otherwise}"))
}
