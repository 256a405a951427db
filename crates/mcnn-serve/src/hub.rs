//! What all connections share.

use std::{
    fmt::Display,
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use mcnn::{
    error::{Error, Kind, Result},
    seed::Seed,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{ApiKey, Inputs, Limits, Live, metrics::Metrics, session::Session};

/// The shared state of the server.
pub(crate) struct Hub {
    pub live: Live,
    pub inputs: Inputs,
    pub limits: Limits,
    pub metrics: Metrics,
    pub api_key: Option<ApiKey>,
    pub seed: Seed,
    pub log: Box<dyn Fn(&str) + Send + Sync>,
    pub stop: watch::Sender<bool>,
    pub places: Arc<Semaphore>, // one for each session
}

impl Hub {
    /// Says a line.
    pub fn say(&self, line: &str) {
        (self.log)(line);
    }

    /// Whether the server is ending.
    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the server is ending.
    pub async fn stopped(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Begins a session for a client; `None` if the maximum number of sessions is open.
    pub fn begin(self: &Arc<Self>, client: SocketAddr) -> Option<Client> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.metrics.refused.fetch_add(1, Relaxed);
            return None;
        };
        let number = self.metrics.sessions.fetch_add(1, Relaxed);
        self.metrics.open.fetch_add(1, Relaxed);
        Some(Client {
            hub: self.clone(),
            number,
            client,
            begun: Instant::now(),
            counts: [0; 3],
            first_error: None,
            ending: "the server ended".into(),
            _place: place,
        })
    }
}

/// A connected client, and what its log line says. The line is written when this is dropped.
pub(crate) struct Client {
    pub hub: Arc<Hub>,
    number: u64,
    client: SocketAddr,
    begun: Instant,
    counts: [u64; 3], // answers, answers in OOD states, errors
    first_error: Option<String>,
    ending: String,
    _place: OwnedSemaphorePermit,
}

impl Client {
    /// A session for it, whose random numbers are its own.
    pub fn session(&self) -> Session {
        Session::new(&self.hub.live, self.hub.seed.fork("session").nth(self.number))
    }

    /// Counts an answer, or an error.
    pub fn count(&mut self, latency: Duration, outcome: std::result::Result<(f32, bool), &str>) {
        let [answers, ood, errors] = &mut self.counts;
        match outcome {
            Ok((distance, is_ood)) => {
                self.hub.metrics.answered(latency, distance, is_ood);
                *answers += 1;
                *ood += u64::from(is_ood);
            }
            Err(error) => {
                self.hub.metrics.errors.fetch_add(1, Relaxed);
                *errors += 1;
                self.first_error.get_or_insert_with(|| one_line(error));
            }
        }
    }

    /// Says how the session ended.
    pub fn ended(&mut self, how: impl Display) {
        self.ending = one_line(&how.to_string());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.hub.metrics.open.fetch_sub(1, Relaxed);
        let [answers, ood, errors] = self.counts;
        let ood = if ood > 0 { format!(", {ood} of them out of distribution") } else { String::new() };
        let errors = match &self.first_error {
            Some(first) => format!(", {errors} errors, the first: {first}"),
            None => String::new(),
        };
        self.hub.say(&format!(
            "session {} of {}: {answers} answers in {:.1} s{ood}{errors}; {}",
            self.number,
            self.client,
            self.begun.elapsed().as_secs_f64(),
            self.ending
        ));
    }
}

/// An error's text on one line, for the log: at most 500 characters without control characters, since a client can choose parts of it.
fn one_line(text: &str) -> String {
    let line = text.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    line.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Runs work that takes long on a thread of its own, so that other connections go on.
///
/// # Errors
/// If the work panicked.
pub(crate) async fn off_the_event_loop<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| panicked())
}

/// Runs work that is short here.
///
/// # Errors
/// If the work panicked.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    // The closure owns its state, which is dropped when it panics: no partly changed state is seen later.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked())
}

fn panicked() -> Error {
    Error::new(Kind::Task, "an internal error of the server").next("report it as a bug")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_one_and_bounded() {
        assert_eq!(one_line("a\n  b: \x1b[2J\tc\r\n"), "a; b:  [2J c");
        assert_eq!(one_line(&"x".repeat(9000)).len(), 500);
    }
}
