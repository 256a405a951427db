//! Exact batched nearest-neighbor search on a GPU, by [`wgpu`]: Vulkan, Metal or DirectX 12. Drivers are loaded at run time.
//!
//! [`Gpu`] returns a few candidate rows for each query ([`mcnn::memory::BatchSearch`]); the library computes their distances again and proves
//! the result, so that it equals the processor's to the bit.
//!
//! ```no_run
//! let gpu = mcnn_gpu::Gpu::open()?;
//! mcnn::memory::set_batch_search(Some(std::sync::Arc::new(gpu)));
//! // From here on, `memory::learn`, `certify` and training search on the GPU.
//! # Ok::<(), mcnn::Error>(())
//! ```
//!
//! # Tests
//! They run on every adapter there is, and say so where there is none. Mesa's software Vulkan is one (in Debian the packages
//! `mesa-vulkan-drivers` and `libvulkan1`): `cargo test -p mcnn-gpu`. `VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/lvp_icd.x86_64.json`
//! selects it where there are other drivers.

#![forbid(unsafe_code)]

mod adapter;
mod auto;
mod device;
mod search;

pub use adapter::{AdapterKind, adapters};
pub use auto::Auto;
pub use search::{Gpu, K_MOST};
