//! Exact batched nearest-neighbor search and residual networks on a GPU, by [`wgpu`]: Vulkan, Metal or DirectX 12. Drivers are loaded at run
//! time.
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
//! [`Embedder`] embeds recordings of frames by a residual network ([`mcnn::vision::BatchEmbed`]). It sums in f32 as the processor does, but in
//! another order: embeddings differ from the processor's in the last digits.
//!
//! ```no_run
//! use mcnn::vision::{BatchEmbed as _, Weights, load};
//! let (network, _) = load(&Weights::Random(0), None, &mut |_, _| ())?;
//! let on_gpu = mcnn_gpu::Embedder::open()?.load(&network)?;
//! let mut embeddings = vec![0.0; 2 * network.width()];
//! on_gpu.embed_batch(&[0.5; 2 * 64 * 64 * 3], [64, 64], &mut embeddings)?; // two frames of 64 x 64 pixels
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
mod layers;
mod network;
mod search;

pub use adapter::{AdapterKind, adapters};
pub use auto::Auto;
pub use network::{Embedder, GpuNetwork};
pub use search::{Gpu, K_MOST};
