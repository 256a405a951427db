//! The choice between the processor and a GPU by the size of a search.

use std::sync::OnceLock;

use mcnn::{
    Result,
    memory::{BatchQuery, BatchSearch, Shortlist},
};

use crate::{AdapterKind, Gpu, adapter};

/// Searches on a GPU what is large enough; the GPU is opened for the first such search. Software adapters are not used, nor GPUs that
/// cannot be opened: then the processor searches.
#[derive(Default)]
pub struct Auto(OnceLock<Option<Gpu>>);

impl Auto {
    /// The differences of numbers from which a search is large: about 10 ms of a processor, beside which starting a computation on a GPU
    /// and reading its results are short.
    pub const LARGE: usize = 1 << 26;

    fn gpu(&self) -> Option<&Gpu> {
        let open = || {
            let is_gpu = |adapter: &&wgpu::Adapter| adapter::kind(&adapter.get_info()) == AdapterKind::Gpu;
            adapter::found().iter().filter(is_gpu).find_map(|adapter| Gpu::of_adapter(adapter).ok())
        };
        self.0.get_or_init(open).as_ref()
    }
}

impl BatchSearch for Auto {
    fn name(&self) -> String {
        match self.0.get() {
            Some(Some(gpu)) => gpu.name(),
            _ => "none".into(),
        }
    }

    fn shortlist(&self, query: &BatchQuery) -> Result<Option<Shortlist>> {
        let size = query.rows.len().saturating_mul(query.queries.len() / query.dim);
        match (size >= Self::LARGE).then(|| self.gpu()).flatten() {
            Some(gpu) => gpu.shortlist(query),
            None => Ok(None),
        }
    }
}
