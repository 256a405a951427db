//! A Python worker process with copies of an environment, controlled by frames over its stdin and stdout (the protocol is in
//! `python/worker.py`).

pub use super::watchdog::Limits;
use super::{Answer, Picture, Recorded, batch::Ask, progress_file::ProgressFile, watchdog::Watchdog};
use crate::error::{Error, Kind, Result};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const SOURCE: &str = concat!(
    include_str!("../../../../python/environments.py"),
    include_str!("../../../../python/pusht.py"),
    include_str!("../../../../python/poses.py"),
    include_str!("../../../../python/racing.py"),
    include_str!("../../../../python/worker.py"),
);
const LAST_LINES: usize = 20; // lines of stderr, kept for the error message when the process dies
const LARGEST_FRAME: usize = 1 << 26; // bytes; a longer one means that the stream is corrupt
const PATIENCE: Duration = Duration::from_secs(2); // before a worker that does not end is killed

/// The environment of a worker.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Plan {
    /// The environment, as `gymnasium.make` takes it.
    pub id: String,
    /// Keyword arguments of `gymnasium.make`.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The only key of a Dict observation that is used; all keys if absent.
    pub key: Option<String>,
    /// Names of subtasks in the `episode_task_completions` of a step's info.
    pub parts: Vec<String>,
    /// Whether pictures will be rendered.
    pub pictures: bool,
    /// Whether the environment's own expert, its method `expert_action`, is queried in every state.
    pub expert_action: bool,
}

/// The properties of an environment, sent when its worker starts.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct Handshake {
    /// The dimensions of a flattened observation.
    pub n_obs: usize,
    /// The dimensions of an action.
    pub n_act: usize,
    /// The number of steps after which the environment truncates an episode, where it has a limit.
    pub horizon: Option<usize>,
    /// The limits of actions, `[n_act]` lower and upper bounds, unless they are -1 and 1.
    pub bounds: Option<Vec<[f32; 2]>>,
    /// Whether observations are bytes; they are then sent as bytes.
    pub bytes: bool,
    /// Height and width, if an observation is an RGB frame of bytes.
    pub frame: Option<[usize; 2]>,
}

/// The response to a reset or a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Observation, reward and end of the episode.
    pub answer: Answer,
    /// The plan's parts completed so far in the episode (bit k for part k).
    pub parts: u32,
    /// The expert's action, `[n_act]`, of a worker whose plan has `expert_action`; otherwise empty.
    pub expert_action: Vec<f32>,
}

/// A running worker. Dropping it ends the process.
#[derive(Debug)]
pub struct Worker {
    name: String,
    has_expert: bool,
    limits: Limits,
    child: Arc<Mutex<Child>>,
    id: u32,
    watchdog: Watchdog,
    progress: ProgressFile, // the number of requests that the process has begun
    requests: u64,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    stderr: Arc<Mutex<VecDeque<String>>>,
    drain: Option<JoinHandle<()>>,
    handshake: Handshake,
    copies: Vec<Copy>, // those that have received a request
    frame: Vec<u8>,    // scratch
}

/// The state of a copy, as far as the client knows it.
#[derive(Debug, Clone, Default)]
struct Copy {
    made: bool,          // created, and not failed since
    place: (u64, usize), // seed and step of its episode, for error messages
}

impl Worker {
    /// Starts a worker in a Python interpreter and creates the first copy of the environment.
    ///
    /// # Errors
    /// If the interpreter cannot be run, the environment cannot be created or used (with Python's traceback where it raised an
    /// error of its own), or the start takes longer than the limit.
    pub fn start(python: &Path, plan: &Plan, limits: Limits) -> Result<Self> {
        let mut settings = serde_json::to_value(plan).unwrap_or_default();
        settings["limit"] = limits.step.as_secs_f64().into();
        let progress = ProgressFile::new()?;
        settings["progress_file"] = progress.path().to_string_lossy().into();
        let mut child = Command::new(python)
            .args(["-c", SOURCE, &settings.to_string()])
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
        let (input, Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("stdout is a pipe");
        };
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        let mut worker = Self {
            name: plan.id.clone(),
            has_expert: plan.expert_action,
            limits,
            watchdog: Watchdog::new(&child, progress.reader()?, limits.start.min(limits.step)),
            progress,
            requests: 0,
            child,
            id,
            input,
            output: BufReader::new(output),
            stderr,
            drain,
            handshake: Handshake {
                n_obs: 0,
                n_act: 0,
                horizon: None,
                bounds: None,
                bytes: false,
                frame: None,
            },
            copies: vec![Copy::default()],
            frame: Vec::new(),
        };
        worker.watchdog.expect(limits.start, 0);
        let body = worker.receive().ok_or_else(|| worker.dead(None))?;
        worker.watchdog.rest();
        worker.progress.unlink();
        let payload = &body[1..];
        let text = || String::from_utf8_lossy(payload).into_owned();
        worker.handshake = match body[0] {
            b'H' => serde_json::from_slice(payload).map_err(|e| worker.garbled(&e.to_string()))?,
            b'N' => {
                return Err(worker
                    .error("no pictures can be rendered on this machine", None)
                    .found(text())
                    .next(
                        "install OpenGL for rendering without a display (Debian, Ubuntu: apt install libegl1 \
                     libgl1-mesa-dri, or libosmesa6); MUJOCO_GL names one of egl, osmesa, glfw",
                    ));
            }
            tag @ (b'E' | b'C') => {
                return Err(worker.failed(tag, payload.get(4..).unwrap_or_default(), None).next(
                    "check the environment's name; MCNN_PYTHON names an interpreter that has other environments",
                ));
            }
            tag => return Err(worker.garbled(&format!("a frame of kind {tag}"))),
        };
        worker.copies[0].made = true;
        Ok(worker)
    }

    /// The properties of the environment.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether the worker accepts requests: false after its process has died.
    pub fn alive(&self) -> bool {
        self.input.is_some()
    }

    /// Sends a request to some copies of the environment, each at most once; actions are `[n_act]`, each in [-1, 1].
    /// Responses are in the order of the requests. An error concerns that copy alone (it raised, or returned unusable values), and the
    /// copy is created again at its next reset. If the process dies, [`alive`](Worker::alive) becomes false; the copy whose
    /// request was being served has the error, and other missing responses are `None`.
    pub fn ask(&mut self, asks: &[(usize, Ask)]) -> Vec<Option<Result<Response>>> {
        let needed = asks.iter().map(|(copy, _)| copy + 1).max().unwrap_or(0);
        if self.copies.len() < needed {
            self.copies.resize(needed, Copy::default());
        }
        let mut frame = std::mem::take(&mut self.frame);
        begin(&mut frame, b'B');
        for &(copy, ask) in asks {
            frame.extend((copy as u32).to_le_bytes());
            match ask {
                Ask::Reset(seed) => {
                    self.copies[copy].place = (seed, 0);
                    frame.push(if self.copies[copy].made { b'R' } else { b'M' });
                    frame.extend(seed.to_le_bytes());
                }
                Ask::Step(action) => {
                    self.copies[copy].place.1 += 1;
                    frame.push(b'S');
                    frame.extend(action.iter().flat_map(|&a| f64::from(a).to_le_bytes()));
                }
            }
        }
        let first = self.send(&mut frame, asks.iter().map(|ask| ask.0));
        self.frame = frame;
        let mut answers: Vec<_> = asks.iter().map(|_| None).collect();
        for (k, &(copy, _)) in asks.iter().enumerate() {
            let Some(body) = self.receive() else {
                // The request that was being served: at least the first without a response.
                let busy = self.progress.read().saturating_sub(first) as usize;
                let culprit = busy.clamp(k, asks.len() - 1);
                answers[culprit] = Some(Err(self.dead(Some(asks[culprit].0))));
                break;
            };
            let response = self.check_copy(copy, body).and_then(|body| self.parse_response(copy, &body));
            self.copies[copy].made = response.is_ok();
            answers[k] = Some(response);
        }
        self.watchdog.rest();
        answers
    }

    /// Renders a picture of a copy, in a worker whose plan has pictures.
    ///
    /// # Errors
    /// If the environment raised, or the process died.
    pub fn picture(&mut self, copy: usize) -> Result<Picture> {
        let body = self.request(b'P', copy, &[])?;
        let number = |at: usize| {
            body.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
        };
        let (width, height) = (number(5), number(9));
        let rgb = body.get(13..).unwrap_or_default().to_vec();
        if body[0] != b'I' || Some(rgb.len()) != width.checked_mul(height).and_then(|n| n.checked_mul(3)) {
            return Err(self.garbled(&format!("a picture of {width} x {height} in {} bytes", rgb.len())));
        }
        Ok(Picture { width, height, rgb })
    }

    /// Restores a recorded state in a copy, at the start of an episode. Returns the observation of that state.
    ///
    /// # Errors
    /// If the environment cannot restore a state, or the process died.
    pub fn restore_state(&mut self, copy: usize, recorded: &Recorded) -> Result<Response> {
        let (qpos, qvel) = (recorded.qpos.unwrap_or_default(), recorded.qvel.unwrap_or_default());
        let mut rest = Vec::new();
        rest.extend((qpos.len() as u32).to_le_bytes());
        rest.extend((qvel.len() as u32).to_le_bytes());
        let values = [qpos, qvel, recorded.observation].concat();
        rest.extend(values.iter().flat_map(|&x| f64::from(x).to_le_bytes()));
        let body = self.request(b'U', copy, &rest)?;
        self.parse_response(copy, &body)
    }

    /// Sends a request to one copy and returns the frame of its response.
    fn request(&mut self, tag: u8, copy: usize, rest: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        begin(&mut frame, tag);
        frame.extend((copy as u32).to_le_bytes());
        frame.extend(rest);
        self.send(&mut frame, std::iter::once(copy));
        let body = self.receive().ok_or_else(|| self.dead(Some(copy)))?;
        self.watchdog.rest();
        self.check_copy(copy, body)
    }

    /// Sends a frame that [`begin`] began. Returns the number of the first of its requests (to `copies`, in order). Errors of
    /// the pipe are ignored here: no response will come.
    fn send(&mut self, frame: &mut [u8], copies: impl Iterator<Item = usize>) -> u64 {
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        let first = self.requests + 1;
        let mut limit = self.limits.step;
        for copy in copies {
            self.requests += 1;
            if !self.copies[copy].made {
                limit = self.limits.start;
            }
        }
        self.watchdog.expect(limit, first);
        if let Some(pipe) = &mut self.input {
            let _ = pipe.write_all(frame);
        }
        first
    }

    /// The tag and payload of the next frame; `None` at the end of the stream.
    fn receive(&mut self) -> Option<Vec<u8>> {
        self.input.as_ref()?;
        let mut head = [0; 4];
        self.output.read_exact(&mut head).ok()?;
        let length = u32::from_le_bytes(head) as usize;
        if !(1..=LARGEST_FRAME).contains(&length) {
            let _ = lock(&self.child).kill(); // what it sends is no longer valid
            return None;
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// Returns the frame if it belongs to this copy and is not an error.
    fn check_copy(&mut self, copy: usize, body: Vec<u8>) -> Result<Vec<u8>> {
        if body.get(1..5) != Some(&(copy as u32).to_le_bytes()) {
            self.end();
            return Err(self.garbled(&format!("a frame of kind {} that is not copy {copy}'s", body[0])));
        }
        if matches!(body[0], b'E' | b'C') {
            return Err(self.failed(body[0], &body[5..], Some(copy)));
        }
        Ok(body)
    }

    fn parse_response(&self, copy: usize, body: &[u8]) -> Result<Response> {
        let error = |what: &str| self.error(what, Some(copy));
        let Some((head, values)) = body.split_at_checked(10).filter(|(head, _)| head[0] == b'O') else {
            return Err(self.garbled(&format!("a frame of kind {}", body[0])));
        };
        let expert_width = if self.has_expert { self.handshake.n_act } else { 0 };
        let split = values.split_first_chunk().and_then(|(reward, rest)| {
            let (expert_action, observation) = rest.split_at_checked(8 * expert_width)?;
            Some((f64::from_le_bytes(*reward), expert_action, observation))
        });
        let Some((reward, expert_action, observation)) = split else {
            return Err(self.garbled(&format!("an answer of {} bytes", body.len())));
        };
        let observation = match self.handshake.bytes {
            true => observation.iter().map(|&byte| f64::from(byte)).collect(),
            false => doubles(observation),
        };
        if observation.len() != self.handshake.n_obs {
            return Err(error("the observation changed its width")
                .expected(format!("{} values", self.handshake.n_obs))
                .found(observation.len().to_string()));
        }
        if !reward.is_finite() {
            return Err(error("the environment gave a reward that is not finite").found(reward.to_string()));
        }
        if let Some(i) = observation.iter().position(|x| !(*x as f32).is_finite()) {
            return Err(error("the environment gave an observation that is not finite").found(format!(
                "{} as number {i} of {}",
                observation[i],
                observation.len()
            )));
        }
        let (flags, parts) = (head[5], [head[6], head[7], head[8], head[9]]);
        let success = (flags & 4 != 0).then_some(flags & 8 != 0);
        Ok(Response {
            answer: Answer { observation, reward, done: flags & 3 != 0, success },
            parts: u32::from_le_bytes(parts),
            expert_action: doubles(expert_action).into_iter().map(|a| a as f32).collect(),
        })
    }

    /// An error with its place: the copy's episode and step, or the start.
    fn error(&self, what: &str, copy: Option<usize>) -> Error {
        let place = copy.map_or(self.name.clone(), |copy| {
            let (seed, step) = self.copies[copy].place;
            format!("{}, episode seed {seed}, step {step}", self.name)
        });
        Error::new(Kind::Task, what).at(place)
    }

    /// The error of a frame of kind E (a traceback) or C (what the environment cannot do).
    fn failed(&self, tag: u8, text: &[u8], copy: Option<usize>) -> Error {
        let text = String::from_utf8_lossy(text).trim_end().replace('\n', "\n    ");
        let what = match tag {
            b'C' => "the environment cannot do what is needed",
            _ => "the environment raised an error",
        };
        self.error(what, copy).found(text)
    }

    fn garbled(&self, found: &str) -> Error {
        self.error("the environment's process sent an invalid frame", None).found(found)
    }

    /// The error of a worker that no longer responds: its exit status and its last lines on stderr.
    fn dead(&mut self, copy: Option<usize>) -> Error {
        let status = self.end();
        let deadline = Instant::now() + PATIENCE;
        // The thread ends when the pipe is closed; a child process of the environment may keep it open.
        while self.drain.as_ref().is_some_and(|d| !d.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lines = lock(&self.stderr);
        let tail: Vec<&str> = lines.iter().map(String::as_str).collect();
        let stderr = match tail.as_slice() {
            [] => "it wrote nothing to stderr".to_owned(),
            tail => format!("its last lines on stderr:\n    {}", tail.join("\n    ")),
        };
        if !self.watchdog.fired() {
            return self.error("the environment's process died", copy).found(format!("{status}; {stderr}"));
        }
        let (limit, name) = match copy.is_some_and(|copy| self.copies[copy].made) {
            true => (self.limits.step, "MCNN_STEP_TIMEOUT"),
            false => (self.limits.start, "MCNN_START_TIMEOUT"),
        };
        self.error(&format!("the environment did not answer within {} s", limit.as_secs_f64()), copy)
            .found(format!("its process was killed; {stderr}"))
            .next(format!("if it needs longer, set {name} to the number of seconds to allow"))
    }

    /// Waits for the process to end, and kills it if it does not.
    fn end(&mut self) -> String {
        self.input = None; // the worker ends at the end of its input
        let deadline = Instant::now() + PATIENCE;
        let mut child = lock(&self.child);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
                _ => break,
            }
        }
        let killed = child.kill().and_then(|()| child.wait());
        killed.map_or_else(|e| e.to_string(), |status| format!("it had to be killed, {status}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Begins a frame with this tag; its length is filled in by `send`.
fn begin(frame: &mut Vec<u8>, tag: u8) {
    frame.clear();
    frame.extend([0, 0, 0, 0, tag]);
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|&eight| f64::from_le_bytes(eight)).collect()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_last_lines(pipe: impl Read, lines: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(pipe).split(b'\n').map_while(std::result::Result::ok) {
        let mut lines = lock(lines);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}
