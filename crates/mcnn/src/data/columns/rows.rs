//! Steps of a file of columns, as the steps of demonstrations: read and scaled where they are asked for.

use std::{
    borrow::Cow,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::file::{ColumnsFile, Place};
use crate::{
    data::{ActionUnits, raw::RawSteps},
    error::Result,
};

/// Bytes of states that are read together.
const PIECE: usize = if cfg!(test) { 256 } else { 8 << 20 };

/// Some steps of a file, in the order of their segments.
#[derive(Debug, Clone)]
pub struct FileSteps {
    file: Arc<ColumnsFile>,
    path: Arc<PathBuf>,
    segments: Vec<Segment>,
    len: usize,
    units: Arc<ActionUnits>, // by which actions of the file are scaled
    clips: bool,             // whether scaled actions are clipped to [-1, 1]
    piece: usize,            // steps that are read together
    fingerprint: Arc<Mutex<Option<Fingerprint>>>,
}

/// A content hash of the steps in episodes of these ends.
type Fingerprint = (Vec<usize>, String);

/// Consecutive steps of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    start: usize, // of these steps
    row: usize,   // of the file
}

impl FileSteps {
    /// All steps of a file, with actions as they are.
    pub fn new(file: ColumnsFile, path: PathBuf) -> Self {
        let row = 4 * file.states.width.max(file.actions.width);
        Self {
            segments: vec![Segment { start: 0, row: 0 }],
            len: file.n_steps(),
            file: Arc::new(file),
            path: Arc::new(path),
            units: Arc::default(),
            clips: false,
            piece: (PIECE / row).max(1),
            fingerprint: Arc::default(),
        }
    }

    /// The same with actions scaled by these units, and clipped.
    pub fn scaled(self, units: ActionUnits, clips: bool) -> Self {
        Self { units: Arc::new(units), clips, fingerprint: Arc::default(), ..self }
    }

    /// No steps of the same file.
    pub fn empty(&self) -> Self {
        Self { segments: Vec::new(), len: 0, fingerprint: Arc::default(), ..self.clone() }
    }

    /// Appends steps; `false` if they are of another file or have other units, and are not appended.
    pub fn push(&mut self, from: &Self, steps: Range<usize>) -> bool {
        let same = Arc::ptr_eq(&self.file, &from.file) && Arc::ptr_eq(&self.units, &from.units);
        if !same || self.clips != from.clips {
            return false;
        }
        for (row, count) in from.rows(steps) {
            let follows = self.segments.last().is_some_and(|last| last.row + self.len - last.start == row);
            if !follows {
                self.segments.push(Segment { start: self.len, row });
            }
            self.len += count;
        }
        self.fingerprint = Arc::default();
        true
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of steps that are best read together.
    pub fn piece_steps(&self) -> usize {
        self.piece
    }

    /// The file that the steps are of.
    pub fn file(&self) -> &ColumnsFile {
        &self.file
    }

    /// The rows of the file that a range of steps is: the first of each segment, and how many.
    fn rows(&self, steps: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        assert!(steps.end <= self.len, "steps to {} of {}", steps.end, self.len);
        let first = self.segments.partition_point(|segment| segment.start <= steps.start).saturating_sub(1);
        let within = self.segments[first.min(self.segments.len())..].iter().enumerate();
        let part = move |(k, segment): (usize, &Segment)| {
            let end = self.segments.get(first + k + 1).map_or(self.len, |next| next.start);
            let (from, to) = (steps.start.max(segment.start), steps.end.min(end));
            (from < to).then(|| (segment.row + from - segment.start, to - from))
        };
        within.map_while(part)
    }

    fn values(&self, place: Place, steps: Range<usize>) -> Vec<f32> {
        let mut values = Vec::with_capacity(steps.len() * place.width);
        for (row, count) in self.rows(steps) {
            self.file.append_rows(place, row..row + count, &mut values);
        }
        values
    }

    /// States of a range of steps: `[steps, n_obs]`.
    pub fn states(&self, steps: Range<usize>) -> Vec<f32> {
        self.values(self.file.states, steps)
    }

    /// Scaled actions of a range of steps: `[steps, n_act]`.
    pub fn actions(&self, steps: Range<usize>) -> Vec<f32> {
        let mut actions = self.values(self.file.actions, steps.clone());
        if !self.units.is_identity() {
            let states = if self.units.relative_to().is_empty() { Vec::new() } else { self.states(steps) };
            self.units.to_scaled(&states, self.file.states.width, &mut actions);
        }
        if self.clips {
            actions.iter_mut().for_each(|a| *a = a.clamp(-1.0, 1.0));
        }
        if self.has_failed() {
            actions.fill(0.0); // zeros may be outside when scaled
        }
        actions
    }

    /// Rewards of a range of steps, if the file has them: `[steps]`.
    pub fn rewards(&self, steps: Range<usize>) -> Option<Vec<f32>> {
        self.file.rewards.map(|place| self.values(place, steps))
    }

    /// Whether a step could not be read.
    pub fn has_failed(&self) -> bool {
        self.file.has_failed()
    }

    /// The error of the first step that could not be read, or of a file that was changed.
    ///
    /// # Errors
    /// See above.
    pub fn check_readable(&self) -> Result<()> {
        self.file.check_readable().map_err(|e| e.within(self.path.display()))
    }

    /// The content hash of the steps in episodes with these ends, which is computed once.
    pub fn fingerprint(&self, ends: &[usize], compute: impl FnOnce() -> String) -> String {
        let mut known = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((of, found)) if of == ends => found.clone(),
            _ => {
                let found = compute();
                *known = Some((ends.to_vec(), found.clone()));
                found
            }
        }
    }
}

impl RawSteps for FileSteps {
    fn widths(&self) -> [usize; 2] {
        [self.file.states.width, self.file.actions.width]
    }

    fn pieces(&self) -> Vec<Range<usize>> {
        (0..self.len).step_by(self.piece).map(|start| start..self.len.min(start + self.piece)).collect()
    }

    fn raw_states(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Owned(self.states(steps))
    }

    fn raw_actions(&self, steps: Range<usize>) -> Cow<'_, [f32]> {
        Cow::Owned(self.values(self.file.actions, steps))
    }
}
