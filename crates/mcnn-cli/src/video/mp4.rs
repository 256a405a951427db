//! MP4 (H.264), by the program ffmpeg: frames go into its stdin.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use mcnn::{Error, Result, atomic::Temporary, error::Kind, task::Picture};

use super::{FPS, FrameEncoder};

/// An MP4 that ffmpeg is writing to a temporary file.
pub struct Mp4 {
    path: PathBuf,
    temporary: Option<Temporary>, // until the video is complete
    ffmpeg: PathBuf,
    child: Option<Child>, // from the first frame on, which decides the size
}

impl Mp4 {
    pub fn new(path: &Path, ffmpeg: PathBuf) -> Result<Self> {
        let temporary = Some(Temporary::new(path)?);
        Ok(Self { path: path.to_owned(), temporary, ffmpeg, child: None })
    }

    fn start(&self, picture: &Picture) -> Result<Child> {
        let size = format!("{}x{}", picture.width, picture.height);
        let mut command = Command::new(&self.ffmpeg);
        // In a process group of its own, so that Ctrl-C does not end ffmpeg before the video is complete.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
            .args(["-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size])
            .args(["-r", &FPS.to_string(), "-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p"])
            .args(["-movflags", "+faststart", "-f", "mp4"])
            .arg(self.temporary.as_ref().map_or(Path::new(""), Temporary::path))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| self.failed(&e.to_string()))
    }

    fn failed(&self, found: &str) -> Error {
        Error::new(Kind::File, "ffmpeg could not make the video")
            .at(self.path.display().to_string())
            .found(found.trim_end())
            .next("a name that ends in .gif needs no ffmpeg")
    }

    /// Waits for an ffmpeg that closed its input, and gives what it wrote to stderr.
    fn message(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            let pipe = child.stderr.take();
            let _ = pipe.map(|mut pipe| pipe.read_to_string(&mut text));
            let _ = child.wait();
        }
        if text.is_empty() { "it ended without a message".into() } else { text }
    }
}

impl FrameEncoder for Mp4 {
    fn add_frame(&mut self, picture: &Picture) -> Result<()> {
        let mut child = match self.child.take() {
            Some(child) => child,
            None => self.start(picture)?,
        };
        let written = child.stdin.as_mut().map(|pipe| pipe.write_all(&picture.rgb));
        self.child = Some(child);
        if matches!(written, Some(Ok(()))) {
            return Ok(());
        }
        let message = self.message();
        Err(self.failed(&message))
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Err(self.failed("no frames")) };
        drop(child.stdin.take()); // the end of its input ends the video
        let done = child.wait_with_output().map_err(|e| self.failed(&e.to_string()))?;
        if !done.status.success() {
            return Err(self.failed(&String::from_utf8_lossy(&done.stderr)));
        }
        self.temporary.take().map_or(Ok(()), Temporary::persist)
    }
}

impl Drop for Mp4 {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ = self.message();
        }
    }
}
