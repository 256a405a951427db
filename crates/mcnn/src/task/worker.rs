//! A Python process that holds one environment: frames over its stdin and stdout (`python/worker.py` says which).

use super::Answer;
use crate::error::{Error, Kind, Result};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const SOURCE: &str = include_str!("../../../../python/worker.py");
const LAST_LINES: usize = 12; // of stderr, kept for the report of a death
const LARGEST_FRAME: usize = 1 << 26; // bytes; a longer one means that the stream is corrupt
const PATIENCE: Duration = Duration::from_secs(2); // for a worker that was told to end

/// What an environment says about itself when its worker starts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Hello {
    /// Numbers in a flattened observation.
    pub n_obs: usize,
    /// Numbers in an action.
    pub n_act: usize,
    /// Steps after which the environment itself cuts an episode, where it does.
    pub horizon: Option<usize>,
}

/// A running worker. Dropping it ends the process.
#[derive(Debug)]
pub struct Worker {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    stderr: Arc<Mutex<VecDeque<String>>>,
    drain: Option<JoinHandle<()>>,
    hello: Hello,
    place: (u64, usize), // seed and step of the episode, for reports
}

impl Worker {
    /// Starts a worker under a Python interpreter for an environment named as `gymnasium.make` takes it.
    ///
    /// # Errors
    /// If the interpreter cannot be run, or the environment cannot be made or used (with Python's traceback).
    pub fn start(python: &Path, name: &str) -> Result<Self> {
        let mut child = Command::new(python)
            .args(["-c", SOURCE, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| {
                Error::new(Kind::Task, "the Python of the environments cannot be run")
                    .at(python.display().to_string())
                    .found(e.to_string())
            })?;
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let drain = child.stderr.take().map(|pipe| {
            let lines = Arc::clone(&stderr);
            std::thread::spawn(move || keep_last_lines(pipe, &lines))
        });
        let Some(output) = child.stdout.take() else {
            unreachable!("stdout was asked for as a pipe");
        };
        let mut worker = Self {
            name: name.to_owned(),
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
            stderr,
            drain,
            hello: Hello { n_obs: 0, n_act: 0, horizon: None },
            place: (0, 0),
        };
        let payload = worker.receive(b'H').map_err(|e| {
            if e.what() == RAISED {
                e.next("check the environment's name; MCNN_PYTHON names an interpreter that has other environments")
            } else {
                e
            }
        })?;
        worker.hello = serde_json::from_slice(&payload).map_err(|e| worker.garbled(&e.to_string()))?;
        Ok(worker)
    }

    /// What the environment is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The process, for whoever watches it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Starts the episode of a seed.
    ///
    /// # Errors
    /// If the environment raised, gave values that are not finite, or its process died.
    pub fn reset(&mut self, seed: u64) -> Result<Answer> {
        self.place = (seed, 0);
        self.ask(b'R', &seed.to_le_bytes())
    }

    /// One step. `action`: `[n_act]`, each in [-1, 1].
    ///
    /// # Errors
    /// As [`Worker::reset`].
    pub fn step(&mut self, action: &[f32]) -> Result<Answer> {
        self.place.1 += 1;
        let payload: Vec<u8> = action.iter().flat_map(|&a| f64::from(a).to_le_bytes()).collect();
        self.ask(b'S', &payload)
    }

    fn ask(&mut self, tag: u8, payload: &[u8]) -> Result<Answer> {
        let mut frame = ((payload.len() + 1) as u32).to_le_bytes().to_vec();
        frame.push(tag);
        frame.extend_from_slice(payload);
        // A worker that died while idle shows here first; the report below waits for what it left.
        let sent = self.input.as_mut().is_some_and(|pipe| pipe.write_all(&frame).is_ok());
        if !sent {
            return Err(self.dead());
        }
        let body = self.receive(b'O')?;
        self.answer(&body)
    }

    fn receive(&mut self, wanted: u8) -> Result<Vec<u8>> {
        let mut head = [0; 4];
        if self.output.read_exact(&mut head).is_err() {
            return Err(self.dead());
        }
        let length = u32::from_le_bytes(head) as usize;
        if !(1..=LARGEST_FRAME).contains(&length) {
            return Err(self.garbled(&format!("a frame of {length} bytes")));
        }
        let mut body = vec![0; length];
        if self.output.read_exact(&mut body).is_err() {
            return Err(self.dead());
        }
        match body.remove(0) {
            tag if tag == wanted => Ok(body),
            b'E' => {
                let trace = String::from_utf8_lossy(&body).trim_end().replace('\n', "\n    ");
                Err(self.error(RAISED).found(trace))
            }
            tag => Err(self.garbled(&format!("a frame of kind {tag}"))),
        }
    }

    fn answer(&self, body: &[u8]) -> Result<Answer> {
        let wanted = 9 + 8 * self.hello.n_obs;
        if body.len() != wanted {
            return Err(self
                .error("the observation changed its width")
                .expected(format!("{} numbers", self.hello.n_obs))
                .found(format!("{}", (body.len().saturating_sub(9)) / 8)));
        }
        let mut numbers = body[1..].chunks_exact(8).map(|bytes| {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            f64::from_le_bytes(eight)
        });
        let reward = numbers.next().unwrap_or(f64::NAN);
        let observation: Vec<f64> = numbers.collect();
        if !reward.is_finite() {
            return Err(self
                .error("the environment gave a reward that is not finite")
                .found(reward.to_string()));
        }
        if let Some(i) = observation.iter().position(|x| !(*x as f32).is_finite()) {
            return Err(self.error("the environment gave an observation that is not finite").found(format!(
                "{} as number {i} of {}",
                observation[i],
                observation.len()
            )));
        }
        Ok(Answer {
            observation,
            reward,
            done: body[0] & 3 != 0,
            success: (body[0] & 4 != 0).then_some(body[0] & 8 != 0),
        })
    }

    fn error(&self, what: &str) -> Error {
        let (seed, step) = self.place;
        let place = match self.hello.n_obs {
            0 => self.name.clone(),
            _ => format!("{}, episode seed {seed}, step {step}", self.name),
        };
        Error::new(Kind::Task, what).at(place)
    }

    fn garbled(&self, found: &str) -> Error {
        self.error("the environment's process sent something that is no frame").found(found)
    }

    /// The report of a worker that no longer answers: how it ended and what it last wrote to stderr.
    fn dead(&mut self) -> Error {
        self.input = None;
        let status = self.end();
        let deadline = Instant::now() + PATIENCE;
        // The thread ends with the pipe; a process that the environment left behind may hold it open.
        while self.drain.as_ref().is_some_and(|d| !d.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lines = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let tail: Vec<&str> = lines.iter().map(String::as_str).collect();
        let said = match tail.as_slice() {
            [] => "it wrote nothing to stderr".to_owned(),
            tail => format!("its last lines on stderr:\n    {}", tail.join("\n    ")),
        };
        self.error("the environment's process died").found(format!("{status}; {said}"))
    }

    /// Waits for the process, and kills it when it does not end by itself.
    fn end(&mut self) -> String {
        self.input = None; // the end of its input tells the worker to end
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => break,
            }
        }
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map_or_else(|e| e.to_string(), |status| format!("it did not end by itself, {status}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

const RAISED: &str = "the environment raised an error";

fn keep_last_lines(pipe: impl Read, lines: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(pipe).split(b'\n').map_while(std::result::Result::ok) {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}
