//! Time limits, and the watchdog that kills a process that does not keep them: a thread that costs whoever sets a
//! deadline one store.

use super::worker::lock;
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

/// How long a worker may take before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For starting, importing and making an environment.
    pub start: Duration,
    /// For each reset and step.
    pub step: Duration,
}

impl Limits {
    /// 300 s to start and 60 s a step, or the seconds that `MCNN_START_TIMEOUT` and `MCNN_STEP_TIMEOUT` say.
    ///
    /// # Errors
    /// If one of them is no number of seconds above 0.
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

/// The watch over one process. Dropping it ends the watch, not the process.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    deadline: AtomicU64, // milliseconds since the start
    fired: AtomicBool,
    over: AtomicBool,
}

impl Watchdog {
    /// Watches a process. `shortest`: no deadline will be set nearer than this.
    pub fn new(child: &Arc<Mutex<Child>>, shortest: Duration) -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            deadline: AtomicU64::new(NEVER),
            fired: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        let (ours, child) = (Arc::clone(&shared), Arc::clone(child));
        let thread = std::thread::spawn(move || ours.watch(&child, shortest));
        Self { shared, thread: Some(thread) }
    }

    /// Something must happen within `limit` from now.
    pub fn expect(&self, limit: Duration) {
        let deadline = (self.shared.start.elapsed() + limit).as_millis() as u64;
        self.shared.deadline.store(deadline, Ordering::Relaxed);
    }

    /// It happened.
    pub fn rest(&self) {
        self.shared.deadline.store(NEVER, Ordering::Relaxed);
    }

    /// Whether the process was killed.
    pub fn fired(&self) -> bool {
        self.shared.fired.load(Ordering::Acquire)
    }
}

impl Shared {
    /// Sleeps to the deadline that is set, or as long as none that is set meanwhile can have passed.
    fn watch(&self, child: &Mutex<Child>, shortest: Duration) {
        while !self.over.load(Ordering::Acquire) {
            let now = self.start.elapsed().as_millis() as u64;
            let deadline = self.deadline.load(Ordering::Relaxed);
            if now >= deadline {
                self.fired.store(true, Ordering::Release);
                let _ = lock(child).kill(); // the reader sees the pipe's end
                return;
            }
            // At least a millisecond: the deadline was rounded down.
            let left = Duration::from_millis((deadline - now).max(1));
            std::thread::park_timeout(left.min(shortest));
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
