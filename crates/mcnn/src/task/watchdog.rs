//! Time limits of worker processes, and the watchdog thread that kills a process that exceeds them. Setting a deadline costs
//! one atomic store.

use super::{progress_file::ProgressFile, worker::lock};
use crate::error::{Error, Kind, Result};
use std::{
    process::Child,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const NEVER: u64 = u64::MAX;

/// Time limits after which a worker is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For the start: Python's imports and the creation of the environment.
    pub start: Duration,
    /// For each reset and step.
    pub step: Duration,
}

impl Limits {
    /// 300 s for the start and 60 s for a step, unless `MCNN_START_TIMEOUT` and `MCNN_STEP_TIMEOUT` are set (in seconds).
    ///
    /// # Errors
    /// If one of them is not a number from 0.001 to 1e9.
    pub fn from_environment() -> Result<Self> {
        let seconds = |name: &str, default: f64| {
            let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else {
                return Ok(Duration::from_secs_f64(default));
            };
            let parsed = text.to_str().and_then(|text| text.trim().parse::<f64>().ok());
            parsed.filter(|s| (0.001..=1e9).contains(s)).map(Duration::from_secs_f64).ok_or_else(|| {
                Error::new(Kind::Settings, "no number of seconds")
                    .at(name)
                    .expected("a number from 0.001 to 1e9")
                    .found(text.to_string_lossy())
            })
        };
        Ok(Self { start: seconds("MCNN_START_TIMEOUT", 300.0)?, step: seconds("MCNN_STEP_TIMEOUT", 60.0)? })
    }
}

/// The watchdog of one process. Dropping it stops the watchdog, not the process.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    deadline: AtomicU64, // milliseconds since the start
    limit: AtomicU64,    // milliseconds for each request
    begun: AtomicU64,    // number of the last request begun when the deadline was set
    fired: AtomicBool,
    over: AtomicBool,
}

impl Watchdog {
    /// Starts watching a process. `shortest`: the shortest limit that will be set.
    pub fn new(child: &Arc<Mutex<Child>>, progress: ProgressFile, shortest: Duration) -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            deadline: AtomicU64::new(NEVER),
            limit: AtomicU64::new(NEVER),
            begun: AtomicU64::new(0),
            fired: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let (ours, child) = (Arc::clone(&shared), Arc::clone(child));
        let thread = std::thread::spawn(move || ours.watch(&child, &progress, shortest));
        Self { shared, thread: Some(thread) }
    }

    /// Sets the limit of each request from now on; `first` is the number of the first of them. An exceeded limit is detected
    /// at the latest after twice the limit, and for the first request at once.
    pub fn expect(&self, limit: Duration, first: u64) {
        let deadline = self.shared.start.elapsed() + limit;
        self.shared.begun.store(first, Ordering::Relaxed);
        self.shared.limit.store(limit.as_millis() as u64, Ordering::Relaxed);
        self.shared.deadline.store(deadline.as_millis() as u64, Ordering::Release);
    }

    /// Clears the deadline: all requests have been answered.
    pub fn rest(&self) {
        self.shared.deadline.store(NEVER, Ordering::Release);
    }

    /// Whether the process was killed.
    pub fn fired(&self) -> bool {
        self.shared.fired.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Sleeps until the deadline, but at most the shortest limit, since a deadline can be set meanwhile.
    fn watch(&self, child: &Mutex<Child>, progress: &ProgressFile, shortest: Duration) {
        while !self.over.load(Ordering::Acquire) {
            let now = self.start.elapsed().as_millis() as u64;
            let deadline = self.deadline.load(Ordering::Acquire);
            if now < deadline {
                // At least a millisecond: the deadline was rounded down.
                let left = Duration::from_millis((deadline - now).max(1));
                std::thread::park_timeout(left.min(shortest));
                continue;
            }
            let (begun, known) = (progress.read(), self.begun.load(Ordering::Relaxed));
            let next = if begun > known { now + self.limit.load(Ordering::Relaxed) } else { NEVER };
            // Fails if the response came or another deadline was set meanwhile.
            let ours = self.deadline.compare_exchange(deadline, next, Ordering::AcqRel, Ordering::Relaxed);
            if ours.is_err() {
                continue;
            }
            if next != NEVER {
                self.begun.store(begun, Ordering::Relaxed);
                continue;
            }
            self.fired.store(true, Ordering::Release);
            let _ = lock(child).kill(); // the reader then gets the end of the stream
            return;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
