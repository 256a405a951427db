//! Thread pools. They are made when they are first needed and belong to one process: a forked child has none of its parent's
//! threads, and makes its own.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::raise;

/// A pool with the process and the number of threads that it was made for.
type Pool = (u32, usize, Arc<ThreadPool>);

static POOLS: Mutex<Vec<Pool>> = Mutex::new(Vec::new());

/// Number of cores of this machine.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The pool of `threads` threads of this process.
///
/// # Errors
/// If threads cannot be started.
pub fn pool(threads: usize) -> PyResult<Arc<ThreadPool>> {
    let process = std::process::id();
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, _, pool)) = pools.iter().find(|(id, n, _)| (*id, *n) == (process, threads)) {
        return Ok(pool.clone());
    }
    // Those of the parent process have no threads here; ending them would wait for nobody.
    pools.extract_if(.., |(id, ..)| *id != process).for_each(std::mem::forget);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
        raise(mcnn::Error::new(mcnn::error::Kind::Settings, "threads cannot be started").found(e.to_string()))
    })?;
    let pool = Arc::new(pool);
    pools.push((process, threads, pool.clone()));
    Ok(pool)
}

/// Runs work on all cores while other Python threads run.
///
/// # Errors
/// If threads cannot be started, and those of the work.
pub fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> mcnn::Result<T> + Send) -> PyResult<T> {
    let pool = pool(cores())?;
    py.detach(|| pool.install(work)).map_err(raise)
}
