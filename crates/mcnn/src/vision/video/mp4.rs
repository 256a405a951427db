//! The tables of an MP4 file: the size, the codec and the presentation time of every frame. Values are left to a decoder.
//!
//! Format: ISO/IEC 14496-12. Read is the first video track, without fragments.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use crate::error::{Error, Kind, Result};

/// The most bytes of the tables.
const MOST_OF_TABLES: u64 = 64 << 20;
/// The most frames: 92 hours of 30 a second.
const MOST_FRAMES: u64 = 10_000_000;
/// The most pixels of a side.
const SIDE: usize = 8192;

/// A video track.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mp4 {
    /// Height and width.
    pub size: [usize; 2],
    /// The four letters of the codec, such as `av01` or `avc1`.
    pub codec: String,
    /// The presentation times of the frames in seconds, increasing. They start where the edit list starts.
    pub times: Vec<f64>,
}

fn damaged(found: impl Into<String>) -> Error {
    Error::new(Kind::File, "the video cannot be read")
        .expected("an MP4 file with a video track, whole")
        .found(found)
        .next("fetch it again, leave its episodes out (--episodes) or take other cameras (--camera)")
}

impl Mp4 {
    /// Reads the tables of a file. Errors do not name it.
    ///
    /// # Errors
    /// Files of another format, cut short or damaged; sizes beyond the limits.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |e| Error::io("reading", path, &e);
        let length = crate::data::regular(path)?;
        let mut file = File::open(path).map_err(io)?;
        let (mut at, mut moov) = (0, None);
        while at + 8 <= length {
            let mut head = [0; 16];
            file.seek(SeekFrom::Start(at)).map_err(io)?;
            let wide = at + 16 <= length;
            file.read_exact(&mut head[..if wide { 16 } else { 8 }]).map_err(io)?;
            if at == 0 && &head[4..8] != b"ftyp" {
                return Err(damaged("a file that starts otherwise"));
            }
            let (header, size) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
                0 => (8, length - at),
                1 if wide => (16, u64::from_be_bytes(last_eight(&head))),
                size => (8, size.into()),
            };
            if size < header || size > length - at {
                return Err(damaged(format!(
                    "a part of {size} bytes at {at} in a file of {length}: the file was cut, or is damaged"
                )));
            }
            if &head[4..8] == b"moov" {
                moov = Some(at + header..at + size);
            }
            at += size;
        }
        let Some(moov) = moov else {
            let found = format!("no tables (moov) in {length} bytes: the file was cut, or never finished");
            return Err(damaged(found));
        };
        let bytes = moov.end - moov.start;
        if bytes > MOST_OF_TABLES {
            return Err(damaged(format!("tables of {bytes} bytes, beyond {MOST_OF_TABLES}")));
        }
        let mut tables = vec![0; bytes as usize];
        file.seek(SeekFrom::Start(moov.start)).map_err(io)?;
        file.read_exact(&mut tables).map_err(io)?;
        Self::parse(&tables, length)
    }

    /// Reads the contents of `moov`, of a file of `length` bytes.
    fn parse(moov: &[u8], length: u64) -> Result<Self> {
        let movie_scale = Mp4Box::find(moov, b"mvhd").and_then(|mvhd| mvhd.scale()).unwrap_or(1);
        let is_video = |track: &&[u8]| {
            let media = Mp4Box::find(track, b"mdia").map(|mdia| mdia.0);
            media
                .and_then(|media| Mp4Box::find(media, b"hdlr"))
                .is_some_and(|hdlr| hdlr.0.get(8..12) == Some(b"vide"))
        };
        let tracks: Vec<&[u8]> =
            Mp4Box::all(moov).filter(|(name, _)| name == b"trak").map(|(_, part)| part.0).collect();
        let track = tracks.into_iter().find(is_video).ok_or_else(|| damaged("no video track"))?;
        let part = |inside: &[&[u8; 4]]| {
            let missing =
                || damaged(format!("no {} in the track", String::from_utf8_lossy(inside[inside.len() - 1])));
            inside.iter().try_fold(Mp4Box(track), |part, name| Mp4Box::find(part.0, name)).ok_or_else(missing)
        };
        let scale = part(&[b"mdia", b"mdhd"])?.scale().filter(|&scale| scale > 0);
        let scale = f64::from(scale.ok_or_else(|| damaged("no time scale"))?);
        let table: [&[u8; 4]; 3] = [b"mdia", b"minf", b"stbl"];
        let [a, b, c] = table;
        let (size, codec) = part(&[a, b, c, b"stsd"])?.description()?;
        let count = part(&[a, b, c, b"stsz"])?.u32(8).unwrap_or(0).into();
        if count > MOST_FRAMES || count > length {
            return Err(damaged(format!("{count} frames in {length} bytes; at most {MOST_FRAMES} are read")));
        }
        if count == 0 {
            return Err(damaged("a track without frames, or with frames in fragments"));
        }
        let durations = part(&[a, b, c, b"stts"])?.runs(count, "stts")?;
        let offsets = match part(&[a, b, c, b"ctts"]) {
            Ok(ctts) => ctts.runs(count, "ctts")?,
            Err(_) => Vec::new(),
        };
        let start =
            part(&[b"edts", b"elst"]).ok().map_or(Ok(0.0), |elst| elst.start(scale, movie_scale.into()))?;
        let mut decode = 0_i64;
        let mut times = Vec::with_capacity(durations.len());
        for (i, duration) in durations.iter().enumerate() {
            let offset = offsets.get(i).map_or(0, |&offset| i64::from(offset as i32));
            times.push((decode + offset) as f64 / scale - start);
            decode += i64::from(*duration);
        }
        // Frames before the start of the edit list are decoded and not shown.
        times.retain(|time| *time > -0.1 / scale);
        times.sort_by(f64::total_cmp);
        if times.is_empty() || times.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(damaged("frames with equal times"));
        }
        Ok(Self { size, codec, times })
    }

    /// The mean duration of a frame in seconds.
    pub fn frame_seconds(&self) -> f64 {
        let n = self.times.len();
        if n < 2 { f64::INFINITY } else { (self.times[n - 1] - self.times[0]) / (n - 1) as f64 }
    }

    /// The frame nearest to a time, and how far it is in seconds.
    pub fn nearest(&self, time: f64) -> (usize, f64) {
        let after = self.times.partition_point(|t| *t < time).min(self.times.len() - 1);
        let before = after.saturating_sub(1);
        let far = |i: usize| (self.times[i] - time).abs();
        let i = if far(before) < far(after) { before } else { after };
        (i, far(i))
    }
}

fn last_eight(head: &[u8; 16]) -> [u8; 8] {
    std::array::from_fn(|i| head[8 + i])
}

/// The contents of a box.
#[derive(Debug, Clone, Copy)]
struct Mp4Box<'a>(&'a [u8]);

impl<'a> Mp4Box<'a> {
    /// The boxes one after another, each with its name; ends at the first that does not fit.
    fn all(bytes: &'a [u8]) -> impl Iterator<Item = ([u8; 4], Self)> {
        let mut left = bytes;
        std::iter::from_fn(move || {
            let (head, _) = left.split_first_chunk::<8>()?;
            let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let part = left.get(8..size).filter(|_| size >= 8)?;
            left = &left[size..];
            Some(([head[4], head[5], head[6], head[7]], Mp4Box(part)))
        })
    }

    fn find(bytes: &'a [u8], name: &[u8; 4]) -> Option<Self> {
        Self::all(bytes).find(|(found, _)| found == name).map(|(_, part)| part)
    }

    fn u32(self, at: usize) -> Option<u32> {
        self.0.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn u64(self, at: usize) -> Option<u64> {
        self.0.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Units of time in a second, of `mvhd` and `mdhd`.
    fn scale(self) -> Option<u32> {
        self.u32(if self.0.first() == Some(&1) { 20 } else { 12 })
    }

    /// Height, width and codec, of `stsd`.
    fn description(self) -> Result<([usize; 2], String)> {
        let entry = self.0.get(8..).and_then(|entries| Self::all(entries).next());
        let (codec, entry) = entry.ok_or_else(|| damaged("a track without a description"))?;
        let side = |at: usize| entry.0.get(at..at + 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        let size = [side(26).unwrap_or(0), side(24).unwrap_or(0)];
        if size.contains(&0) || size[0].max(size[1]) > SIDE {
            return Err(damaged(format!(
                "frames of {} x {} pixels; at most {SIDE} x {SIDE} are read",
                size[0], size[1]
            )));
        }
        let letters = codec.iter().map(|&c| if c.is_ascii_graphic() { char::from(c) } else { '?' });
        Ok((size, letters.collect()))
    }

    /// A value for each frame, from runs of equal ones (`stts` and `ctts`).
    fn runs(self, count: u64, name: &str) -> Result<Vec<u32>> {
        let entries = self.u32(4).unwrap_or(0) as usize;
        let runs = self.0.get(8..).unwrap_or_default().as_chunks::<8>().0;
        if entries > runs.len() {
            return Err(damaged(format!("{entries} entries in a table {name} of {}", runs.len())));
        }
        let mut values = Vec::new();
        for run in &runs[..entries] {
            let [a, b, c, d, e, f, g, h] = *run;
            let n = u64::from(u32::from_be_bytes([a, b, c, d]));
            if values.len() as u64 + n > count {
                return Err(damaged(format!("more than {count} frames in the table {name}")));
            }
            values.resize(values.len() + n as usize, u32::from_be_bytes([e, f, g, h]));
        }
        match values.len() as u64 == count {
            true => Ok(values),
            false => Err(damaged(format!("{} frames in the table {name}, {count} in stsz", values.len()))),
        }
    }

    /// The time of the track, in seconds, at which what is shown begins, less the pause before it (`elst`).
    fn start(self, scale: f64, movie_scale: f64) -> Result<f64> {
        let entries = self.u32(4).unwrap_or(0).min(16) as usize;
        let wide = self.0.first() == Some(&1);
        let mut pause = 0.0;
        for i in 0..entries {
            let at = 8 + i * if wide { 20 } else { 12 };
            let (duration, media) = match wide {
                true => (self.u64(at).map(|v| v as f64), self.u64(at + 8).map(|v| v as i64)),
                false => (self.u32(at).map(f64::from), self.u32(at + 4).map(|v| i64::from(v as i32))),
            };
            let (Some(duration), Some(media)) = (duration, media) else {
                return Err(damaged("an edit list that is cut short"));
            };
            if media >= 0 {
                return Ok(media as f64 / scale - pause);
            }
            pause += duration / movie_scale.max(1.0);
        }
        Ok(-pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &[u8; 4], contents: &[u8]) -> Vec<u8> {
        [&(contents.len() as u32 + 8).to_be_bytes()[..], name, contents].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// A track of 4 frames at 10 units of 100 a second, shown in the order 0, 2, 1, 3; the edit list starts at 10.
    fn moov(count: u32, runs: &[u32], size: [u16; 2]) -> Vec<u8> {
        let mut entry = vec![0; 24];
        entry.extend(size[1].to_be_bytes());
        entry.extend(size[0].to_be_bytes());
        let stsd = [words(&[0, 1]), part(b"av01", &entry)].concat();
        let tables = [
            part(b"stsd", &stsd),
            part(b"stsz", &words(&[0, 9, count])),
            part(b"stts", &words(runs)),
            part(b"ctts", &words(&[0, 4, 1, 10, 1, 20, 1, 0, 1, 10])),
        ];
        let media = [
            part(b"mdhd", &words(&[0, 0, 0, 100])),
            part(b"hdlr", &[&[0; 8][..], b"vide"].concat()),
            part(b"minf", &part(b"stbl", &tables.concat())),
        ];
        let edits = part(b"edts", &part(b"elst", &words(&[0, 1, 4, 10, 1 << 16])));
        [
            part(b"mvhd", &words(&[0, 0, 0, 1000])),
            part(b"trak", &[edits, part(b"mdia", &media.concat())].concat()),
        ]
        .concat()
    }

    #[test]
    fn presentation_times_follow_from_the_tables_and_the_edit_list() {
        let found = Mp4::parse(&moov(4, &[0, 1, 4, 10], [48, 64]), 1000).unwrap();
        assert_eq!((found.size, &*found.codec), ([48, 64], "av01"));
        assert_eq!(found.times.len(), 4);
        for (found, expected) in found.times.iter().zip([0.0, 0.1, 0.2, 0.3]) {
            assert!((found - expected).abs() < 1e-9, "{found}");
        }
        assert!((found.frame_seconds() - 0.1).abs() < 1e-9);
        assert_eq!(found.nearest(0.19).0, 2);
        assert_eq!((found.nearest(9.0).0, found.nearest(-1.0).0), (3, 0));
    }

    #[test]
    fn tables_that_lie_are_refused_with_the_numbers() {
        for (moov, says) in [
            (moov(5, &[0, 1, 4, 10], [48, 64]), "4 frames in the table stts, 5 in stsz"),
            (moov(4, &[0, 1, u32::MAX, 10], [48, 64]), "more than 4 frames"),
            (moov(4, &[0, u32::MAX, 4, 10], [48, 64]), "4294967295 entries"),
            (moov(u32::MAX, &[0, 1, u32::MAX, 10], [48, 64]), "4294967295 frames in 1000 bytes"),
            (moov(4, &[0, 1, 4, 10], [65535, 64]), "65535 x 64"),
            (moov(4, &[0, 1, 4, 0], [48, 64]), "equal times"),
            (Vec::new(), "no video track"),
        ] {
            let error = Mp4::parse(&moov, 1000).unwrap_err().to_string();
            assert!(error.contains(says), "{says}: {error}");
        }
    }
}
