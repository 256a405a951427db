//! The program ffmpeg, decoding a video into a pipe.

use std::{
    io::{BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread::JoinHandle,
};

use super::mp4::Mp4;
use crate::error::{Error, Kind, Result};

/// The most letters of ffmpeg's own messages that are kept.
const MESSAGES: u64 = 4000;
/// The most pixels of a frame that ffmpeg decodes.
const MOST_PIXELS: usize = 8192 * 8192;

/// The program, and what it can do.
#[derive(Debug, Clone)]
pub(super) struct Ffmpeg {
    program: PathBuf,
    major: Option<u32>,
    decoders: String,
}

impl Ffmpeg {
    /// Asks the program for its version and its decoders.
    ///
    /// # Errors
    /// If it cannot be run.
    pub fn new(program: PathBuf) -> Result<Self> {
        let ask = |question: &str| {
            let answer =
                Command::new(&program).args(["-hide_banner", question]).stdin(Stdio::null()).output();
            match answer {
                Ok(answer) if answer.status.success() => {
                    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
                }
                Ok(answer) => Err(answer.status.to_string()),
                Err(e) => Err(e.to_string()),
            }
        };
        let ask = |question: &str| {
            ask(question).map_err(|found| {
                Error::new(Kind::File, "no ffmpeg, which decodes videos")
                    .at(program.display().to_string())
                    .found(found)
                    .next("install ffmpeg (Debian, Ubuntu: apt install ffmpeg)")
            })
        };
        let version = ask("-version")?;
        // Such as "ffmpeg version 7.1.1-1 Copyright" or "ffmpeg version n9.0.2-17-g2a571b6068".
        let word = version.split_whitespace().nth(2).unwrap_or_default().trim_start_matches('n');
        let major = word.split('.').next().and_then(|major| major.parse().ok());
        Ok(Self { decoders: ask("-decoders")?, program, major })
    }

    /// Checks that it decodes a codec.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(&self, codec: &str) -> Result<()> {
        // Its own decoder of AV1 needs a graphics card.
        let wanted: &[&str] = match codec {
            "av01" => &["libdav1d", "libaom-av1", "libgav1"],
            "avc1" | "avc3" => &["h264"],
            "hvc1" | "hev1" => &["hevc"],
            "vp09" => &["vp9", "libvpx-vp9"],
            "mp4v" => &["mpeg4"],
            _ => return Ok(()), // ffmpeg says what it is
        };
        let has = |name: &str| self.decoders.split_whitespace().any(|word| word == name);
        if wanted.iter().any(|name| has(name)) {
            return Ok(());
        }
        Err(Error::new(Kind::File, "an ffmpeg that cannot decode the video")
            .at(self.program.display().to_string())
            .expected(format!("a decoder of {codec}: {}", wanted.join(" or ")))
            .found("none in `ffmpeg -decoders`")
            .next("install an ffmpeg with it (Debian, Ubuntu: apt install ffmpeg); the one of PyPI's imageio-ffmpeg has it"))
    }
}

/// A video that is being decoded.
pub(super) struct Decoder {
    child: Child,
    output: BufReader<ChildStdout>,
    messages: Option<JoinHandle<String>>,
    /// The next frame that comes, in the order of presentation.
    pub next: usize,
    last: usize,
}

impl Decoder {
    /// Starts at a frame. Decoding begins at the key frame before it.
    pub fn start(ffmpeg: &Ffmpeg, path: &Path, mp4: &Mp4, frame: usize) -> Result<Self> {
        let mut command = Command::new(&ffmpeg.program);
        // In a process group of its own: Ctrl-C is for the program that reads, which stops between two batches.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
        if frame > 0 {
            // Halfway to the frame before, counted from the first.
            let at = (mp4.times[frame] + mp4.times[frame - 1]) / 2.0 - mp4.times[0];
            command.args(["-ss", &format!("{at:.6}")]);
        }
        let mut file = std::ffi::OsString::from("file:");
        file.push(path);
        let [height, width] = mp4.size;
        let each = if ffmpeg.major.is_some_and(|major| major < 5) { "-vsync" } else { "-fps_mode" };
        command
            .args(["-noautorotate", "-max_pixels", &MOST_PIXELS.to_string()])
            .args(["-protocol_whitelist", "file", "-f", "mov", "-i"])
            .arg(file)
            .args(["-map", "0:v:0", each, "passthrough"])
            .args(["-vf", &format!("scale={width}:{height}:flags=bilinear")])
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |e: std::io::Error| {
            Error::new(Kind::File, "ffmpeg cannot be started")
                .at(ffmpeg.program.display().to_string())
                .found(e.to_string())
        };
        let mut child = command.spawn().map_err(failed)?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let messages = errors.map(|mut errors| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = errors.by_ref().take(MESSAGES).read_to_end(&mut text);
                let _ = std::io::copy(&mut errors, &mut std::io::sink());
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let Some(output) = output else { return Err(failed(std::io::ErrorKind::BrokenPipe.into())) };
        Ok(Self {
            child,
            output: BufReader::with_capacity(1 << 16, output),
            messages,
            next: frame,
            last: mp4.times.len(),
        })
    }

    /// Reads the next frame: `[height, width, 3]`, as long as `frame` is.
    ///
    /// # Errors
    /// If the video ends before its tables do, or cannot be decoded.
    pub fn read(&mut self, frame: &mut [u8]) -> Result<()> {
        match self.output.read_exact(frame) {
            Ok(()) => {
                self.next += 1;
                Ok(())
            }
            Err(_) => {
                let _ = self.child.kill();
                let text = self.messages.take().and_then(|messages| messages.join().ok()).unwrap_or_default();
                let text: String =
                    text.trim().lines().next_back().unwrap_or("no message").chars().take(300).collect();
                Err(Error::new(Kind::File, "a video that ends early, or cannot be decoded")
                    .expected(format!("{} frames, as its tables say", self.last))
                    .found(format!("{} frames (ffmpeg: {text})", self.next))
                    .next("fetch it again, or leave its episodes out (--episodes)"))
            }
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
