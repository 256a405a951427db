//! Frames in one HDF5 file as of D4RL, or in an `.npz`.

use std::path::{Path, PathBuf};

use super::{ReadFrames, Source, SourceOptions, pixels::Pixels, stamp};
use crate::{
    data::{FrameFile, Rows, Selection},
    error::{Error, Kind, Result},
    vision::frames::Frames,
};

struct OneFile {
    file: FrameFile,
    path: PathBuf,
    pixels: Pixels,
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let named = |e: Error| e.within(path.display());
    if let [_, second, ..] = &options.cameras[..] {
        return Err(named(
            Error::new(Kind::Settings, "several arrays of frames in a format of which one is read")
                .at(format!("--camera {second}"))
                .next("name one; zarr, robomimic and LeRobot may have several cameras"),
        ));
    }
    let selection = &options.selection;
    if !selection.episodes.is_empty() || selection.task.is_some() || selection.filter.is_some() {
        return Err(named(
            Error::new(Kind::Settings, "episodes of this format are not selected for frames")
                .next("leave the option out; in zarr, robomimic and LeRobot episodes can be selected"),
        ));
    }
    let selection = Selection { no_state: !options.with_state, ..options.selection.clone() };
    let mut file = FrameFile::open(path, options.cameras.first().map(String::as_str), &selection)?;
    let mut first = Rows::Bytes(Vec::new());
    file.read_frames(0, &mut |_, rows| {
        first = rows;
        Ok(false)
    })?;
    let pixels = Pixels::detect(&file.shape, first, options).map_err(named)?;
    let mut notes = vec![pixels.note()];
    if !file.unused.is_empty() {
        let more = file.unused.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let some: Vec<&str> = file.unused.iter().take(10).map(String::as_str).collect();
        notes.push(format!("not used: {}{more}", some.join(", ")));
    }
    let (n, labels, names) = (file.shape[0], file.labels.clone(), file.names.clone());
    let key = options.cameras.first().map_or(String::new(), |key| format!(" {key}"));
    let stamp = format!("{} {:?}{key}", stamp(path)?, file.shape);
    let (cameras, state_keys) = (vec![file.key.clone()], file.state_keys.clone());
    let sizes = vec![Some(pixels.size)];
    let frames = Box::new(OneFile { file, path: path.to_owned(), pixels });
    Ok(Source { labels, names, n, cameras, sizes, state_keys, notes, warnings: Vec::new(), stamp, frames })
}

impl ReadFrames for OneFile {
    fn read_frames(&mut self, from: usize, each: &mut dyn FnMut(&[Frames]) -> Result<bool>) -> Result<()> {
        let (pixels, path) = (self.pixels, &self.path);
        let name = |frame: usize| format!("{}: frame {frame}", path.display());
        self.file.read_frames(from, &mut |first, rows| each(&[pixels.frames(rows, first, &name)?]))
    }

    fn name(&self, frame: usize) -> String {
        format!("{}: frame {frame}", self.path.display())
    }
}
