//! TensorBoard event files: TFRecords of `Event` protocol buffers, with scalars only.
//!
//! A record is its length (u64), the masked CRC-32C of the length, the bytes, and the masked CRC-32C of the bytes. An
//! event has wall_time (field 1, double), step (2, int64), and file_version (3, string) or summary (5): repeated value
//! (1) of tag (1, string) and simple_value (2, float). (tensorflow/core/util/event.proto, framework/summary.proto,
//! lib/io/record_writer.h.)

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The start and the end of an event file's name.
const START: &str = "events.out.tfevents.";
const END: &str = ".mcnn";

/// An event file being written.
pub struct Events(File);

impl Events {
    /// Creates a new event file in a folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(folder: &Path) -> io::Result<Self> {
        // TensorBoard reads the files of a folder in the order of their names: seconds, then a counter.
        let seconds = now() as u64;
        let path = |k| folder.join(format!("{START}{seconds:010}.{k}{END}"));
        let free = (0..).find(|&k| !path(k).exists()).expect("a free name");
        let mut events = Self(File::create(path(free))?);
        let mut event = double(1, now());
        event.extend(bytes(3, b"brain.Event:2"));
        events.record(&event)?;
        Ok(events)
    }

    /// Appends a scalar. `wall_time`: seconds since 1970.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f32, wall_time: f64) -> io::Result<()> {
        let mut inner = bytes(1, tag.as_bytes());
        inner.push(2 << 3 | 5);
        inner.extend(value.to_le_bytes());
        let mut event = double(1, wall_time);
        event.push(2 << 3);
        event.extend(varint(step));
        event.extend(bytes(5, &bytes(1, &inner)));
        self.record(&event)
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked(data).to_le_bytes());
        self.0.write_all(&record)
    }
}

/// Removes the event files in a folder that this program wrote.
///
/// # Errors
/// If one cannot be removed.
pub fn remove_events(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(START) && name.ends_with(END) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The present time: seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn double(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![field << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    out.extend(varint(value.len() as u64));
    out.extend(value);
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// CRC-32C (Castagnoli), masked as in TFRecord. Computed bit by bit, which is fast enough for the kilobytes that a run
/// writes.
fn masked(data: &[u8]) -> u32 {
    let crc = !data.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    });
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standard() {
        // RFC 3720, B.4: 32 bytes of zeros have CRC-32C 8a9136aa; "123456789" has e3069283.
        let unmask = |m: u32| m.wrapping_sub(0xa282_ead8).rotate_left(15);
        assert_eq!(unmask(masked(&[0; 32])), 0x8a91_36aa);
        assert_eq!(unmask(masked(b"123456789")), 0xe306_9283);
    }

    #[test]
    fn numbers_are_encoded_as_protocol_buffers() {
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(0), [0]);
        assert_eq!(bytes(5, b"ab"), [0x2a, 2, b'a', b'b']);
    }
}
