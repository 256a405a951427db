//! A Python process that holds copies of an environment: frames over its stdin and stdout (`python/worker.py` says
//! which).

pub use super::watchdog::Limits;
use super::{Answer, Picture, Recorded, batch::Ask, marks::Marks, watchdog::Watchdog};
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
    include_str!("../../../../python/poses.py"),
    include_str!("../../../../python/racing.py"),
    include_str!("../../../../python/worker.py"),
);
const LAST_LINES: usize = 20; // of stderr, kept for the report of a death
const LARGEST_FRAME: usize = 1 << 26; // bytes; a longer one means that the stream is corrupt
const PATIENCE: Duration = Duration::from_secs(2); // for a worker that was told to end

/// What a worker is to hold.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Plan {
    /// The environment, as `gymnasium.make` takes it.
    pub id: String,
    /// The other arguments of `gymnasium.make`.
    pub options: serde_json::Map<String, serde_json::Value>,
    /// The key of a Dict observation that alone is used.
    pub key: Option<String>,
    /// Names to look for in the `episode_task_completions` of a step's info.
    pub parts: Vec<String>,
    /// Whether it will be asked for pictures.
    pub pictures: bool,
    /// Whether the environment's own expert is asked in every state; it must have a method `advice`.
    pub advice: bool,
}

/// What an environment says about itself when its worker starts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Hello {
    /// Numbers in a flattened observation.
    pub n_obs: usize,
    /// Numbers in an action.
    pub n_act: usize,
    /// Steps after which the environment itself cuts an episode, where it does.
    pub horizon: Option<usize>,
    /// Whether observations are bytes, which is how they are sent then.
    pub bytes: bool,
    /// Height and width of an observation that is a picture of three bytes a pixel.
    pub frame: Option<[usize; 2]>,
}

/// What a worker tells of a reset or a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The simulator's answer.
    pub answer: Answer,
    /// The plan's parts completed so far in the episode (bit k for part k).
    pub parts: u32,
    /// The expert's action, `[n_act]`, from a worker whose plan has `advice`; else empty.
    pub advice: Vec<f32>,
}

/// A running worker. Dropping it ends the process.
#[derive(Debug)]
pub struct Worker {
    name: String,
    advised: bool,
    limits: Limits,
    child: Arc<Mutex<Child>>,
    id: u32,
    watchdog: Watchdog,
    marks: Marks, // how many asks the process has begun
    asked: u64,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    stderr: Arc<Mutex<VecDeque<String>>>,
    drain: Option<JoinHandle<()>>,
    hello: Hello,
    copies: Vec<Copy>, // those that were asked something
    frame: Vec<u8>,    // scratch
}

/// What is known of a copy.
#[derive(Debug, Clone, Default)]
struct Copy {
    made: bool,          // there, and not failed since
    place: (u64, usize), // seed and step of its episode, for reports
}

impl Worker {
    /// Starts a worker under a Python interpreter, for copies of an environment, the first of which it makes now.
    ///
    /// # Errors
    /// If the interpreter cannot be run, the environment cannot be made or used (with Python's traceback), or it did
    /// not start in time.
    pub fn start(python: &Path, plan: &Plan, limits: Limits) -> Result<Self> {
        let mut settings = serde_json::to_value(plan).unwrap_or_default();
        settings["limit"] = limits.step.as_secs_f64().into();
        let marks = Marks::new()?;
        settings["marks"] = marks.path().to_string_lossy().into();
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
            unreachable!("stdout was asked for as a pipe");
        };
        let id = child.id();
        let child = Arc::new(Mutex::new(child));
        let mut worker = Self {
            name: plan.id.clone(),
            advised: plan.advice,
            limits,
            watchdog: Watchdog::new(&child, marks.again()?, limits.start.min(limits.step)),
            marks,
            asked: 0,
            child,
            id,
            input,
            output: BufReader::new(output),
            stderr,
            drain,
            hello: Hello { n_obs: 0, n_act: 0, horizon: None, bytes: false, frame: None },
            copies: vec![Copy::default()],
            frame: Vec::new(),
        };
        worker.watchdog.expect(limits.start, 0);
        let body = worker.receive().ok_or_else(|| worker.dead(None))?;
        worker.watchdog.rest();
        worker.marks.forget();
        let payload = &body[1..];
        let text = || String::from_utf8_lossy(payload).into_owned();
        worker.hello = match body[0] {
            b'H' => serde_json::from_slice(payload).map_err(|e| worker.garbled(&e.to_string()))?,
            b'N' => {
                return Err(worker
                    .error("no pictures can be drawn on this machine", None)
                    .found(text())
                    .next(
                        "install OpenGL for drawing without a display (Debian, Ubuntu: apt install libegl1 \
                     libgl1-mesa-dri, or libosmesa6); MUJOCO_GL names one of egl, osmesa, glfw",
                    ));
            }
            b'E' => {
                return Err(worker.raised(payload.get(4..).unwrap_or_default(), None).next(
                    "check the environment's name; MCNN_PYTHON names an interpreter that has other environments",
                ));
            }
            tag => return Err(worker.garbled(&format!("a frame of kind {tag}"))),
        };
        worker.copies[0].made = true;
        Ok(worker)
    }

    /// What the environment is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// The process, for whoever watches it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it can be asked: false once its process has died.
    pub fn alive(&self) -> bool {
        self.input.is_some()
    }

    /// Asks copies of the environment, each at most once; actions are `[n_act]`, each in [-1, 1]. Answers come in the
    /// order of the asks. An error is that copy's alone (it raised, or gave what cannot be used), and the copy is made
    /// anew at its next reset. If the process dies, [`alive`](Worker::alive) is false, and the copy that was being asked
    /// has the error; the other answers that had not come are `None`.
    pub fn ask(&mut self, asks: &[(usize, Ask)]) -> Vec<Option<Result<Told>>> {
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
                // The one that was being asked; the first, if the process had died before, and never one that answered.
                let busy = self.marks.read().saturating_sub(first) as usize;
                let culprit = busy.clamp(k, asks.len() - 1);
                answers[culprit] = Some(Err(self.dead(Some(asks[culprit].0))));
                break;
            };
            let told = self.of_copy(copy, body).and_then(|body| self.understood(copy, &body));
            self.copies[copy].made = told.is_ok();
            answers[k] = Some(told);
        }
        self.watchdog.rest();
        answers
    }

    /// A picture of a copy, from a worker whose plan has pictures.
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

    /// Puts a copy where a recording had it, at the start of an episode, and gives the observation of it.
    ///
    /// # Errors
    /// If the environment cannot be put there, or the process died.
    pub fn put(&mut self, copy: usize, recorded: &Recorded) -> Result<Told> {
        let (qpos, qvel) = (recorded.qpos.unwrap_or_default(), recorded.qvel.unwrap_or_default());
        let mut rest = Vec::new();
        rest.extend((qpos.len() as u32).to_le_bytes());
        rest.extend((qvel.len() as u32).to_le_bytes());
        let numbers = [qpos, qvel, recorded.observation].concat();
        rest.extend(numbers.iter().flat_map(|&x| f64::from(x).to_le_bytes()));
        let body = self.request(b'U', copy, &rest)?;
        self.understood(copy, &body)
    }

    /// Asks one copy something and gives the frame of its answer.
    fn request(&mut self, tag: u8, copy: usize, rest: &[u8]) -> Result<Vec<u8>> {
        let mut frame = Vec::new();
        begin(&mut frame, tag);
        frame.extend((copy as u32).to_le_bytes());
        frame.extend(rest);
        self.send(&mut frame, std::iter::once(copy));
        let body = self.receive().ok_or_else(|| self.dead(Some(copy)))?;
        self.watchdog.rest();
        self.of_copy(copy, body)
    }

    /// Sends a frame that [`begin`] began, and gives the number of the first thing that it asks (of `copies`, in
    /// order). Nothing is said of a failure: no answer will come.
    fn send(&mut self, frame: &mut [u8], copies: impl Iterator<Item = usize>) -> u64 {
        let length = (frame.len() - 4) as u32;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        let first = self.asked + 1;
        let mut limit = self.limits.step;
        for copy in copies {
            self.asked += 1;
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

    /// A frame's tag and payload, or `None` at the end of them.
    fn receive(&mut self) -> Option<Vec<u8>> {
        self.input.as_ref()?;
        let mut head = [0; 4];
        self.output.read_exact(&mut head).ok()?;
        let length = u32::from_le_bytes(head) as usize;
        if !(1..=LARGEST_FRAME).contains(&length) {
            let _ = lock(&self.child).kill(); // what it sends is no longer to be understood
            return None;
        }
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).ok()?;
        Some(body)
    }

    /// The same frame, if it is of this copy and no error.
    fn of_copy(&mut self, copy: usize, body: Vec<u8>) -> Result<Vec<u8>> {
        if body.get(1..5) != Some(&(copy as u32).to_le_bytes()) {
            self.end();
            return Err(self.garbled(&format!("a frame of kind {} that is not copy {copy}'s", body[0])));
        }
        if body[0] == b'E' {
            return Err(self.raised(&body[5..], Some(copy)));
        }
        Ok(body)
    }

    fn understood(&self, copy: usize, body: &[u8]) -> Result<Told> {
        let error = |what: &str| self.error(what, Some(copy));
        let Some((head, numbers)) = body.split_at_checked(10).filter(|(head, _)| head[0] == b'O') else {
            return Err(self.garbled(&format!("a frame of kind {}", body[0])));
        };
        let advised = if self.advised { self.hello.n_act } else { 0 };
        let split = numbers.split_first_chunk().and_then(|(reward, rest)| {
            let (advice, observation) = rest.split_at_checked(8 * advised)?;
            Some((f64::from_le_bytes(*reward), advice, observation))
        });
        let Some((reward, advice, observation)) = split else {
            return Err(self.garbled(&format!("an answer of {} bytes", body.len())));
        };
        let observation = match self.hello.bytes {
            true => observation.iter().map(|&byte| f64::from(byte)).collect(),
            false => doubles(observation),
        };
        if observation.len() != self.hello.n_obs {
            return Err(error("the observation changed its width")
                .expected(format!("{} numbers", self.hello.n_obs))
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
        Ok(Told {
            answer: Answer { observation, reward, done: flags & 3 != 0, success },
            parts: u32::from_le_bytes(parts),
            advice: doubles(advice).into_iter().map(|a| a as f32).collect(),
        })
    }

    /// An error of a copy in its episode, or of the start.
    fn error(&self, what: &str, copy: Option<usize>) -> Error {
        let place = copy.map_or(self.name.clone(), |copy| {
            let (seed, step) = self.copies[copy].place;
            format!("{}, episode seed {seed}, step {step}", self.name)
        });
        Error::new(Kind::Task, what).at(place)
    }

    fn raised(&self, trace: &[u8], copy: Option<usize>) -> Error {
        let trace = String::from_utf8_lossy(trace).trim_end().replace('\n', "\n    ");
        self.error("the environment raised an error", copy).found(trace)
    }

    fn garbled(&self, found: &str) -> Error {
        self.error("the environment's process sent something that is no frame", None).found(found)
    }

    /// The report of a worker that no longer answers: how it ended and what it last wrote to stderr.
    fn dead(&mut self, copy: Option<usize>) -> Error {
        let status = self.end();
        let deadline = Instant::now() + PATIENCE;
        // The thread ends with the pipe; a process that the environment left behind may hold it open.
        while self.drain.as_ref().is_some_and(|d| !d.is_finished()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        let lines = lock(&self.stderr);
        let tail: Vec<&str> = lines.iter().map(String::as_str).collect();
        let said = match tail.as_slice() {
            [] => "it wrote nothing to stderr".to_owned(),
            tail => format!("its last lines on stderr:\n    {}", tail.join("\n    ")),
        };
        if !self.watchdog.fired() {
            return self.error("the environment's process died", copy).found(format!("{status}; {said}"));
        }
        let (limit, name) = match copy.is_some_and(|copy| self.copies[copy].made) {
            true => (self.limits.step, "MCNN_STEP_TIMEOUT"),
            false => (self.limits.start, "MCNN_START_TIMEOUT"),
        };
        self.error(&format!("the environment did not answer within {} s", limit.as_secs_f64()), copy)
            .found(format!("its process was killed; {said}"))
            .next(format!("if it needs longer, set {name} to the seconds that it may take"))
    }

    /// Waits for the process, and kills it when it does not end by itself.
    fn end(&mut self) -> String {
        self.input = None; // the end of its input tells the worker to end
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
        killed.map_or_else(|e| e.to_string(), |status| format!("it did not end by itself, {status}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Begins a frame of a kind; its length is filled in when it is sent.
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
