//! Attacks on recordings of ROS 2 in MCAP: damaged ones, chunks that lie about their size, and messages and types without end.

use std::{fs::File, io::Read as _, path::Path};

use super::{in_limited_process, random_damage};

const START: &[u8] = b"\x89MCAP0\r\n";

fn fixture(name: &str) -> Vec<u8> {
    let zip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mcap/recordings.zip");
    let mut zip = zip::ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let mut bytes = Vec::new();
    zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn damaged_recordings() {
    in_limited_process("recordings::damaged_recordings", |attacks| {
        for name in ["none.mcap", "lz4.mcap", "zstd.mcap"] {
            let whole = fixture(name);
            assert!(attacks.file("mcap", name, &whole));
            random_damage(attacks, "mcap", name, &whole, whole.len());
        }
    });
}

fn record(of: u8, content: &[u8]) -> Vec<u8> {
    [&[of][..], &(content.len() as u64).to_le_bytes(), content].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text].concat()
}

/// A recording of two topics, the state's and the action's, whose messages have a type and bytes.
fn recording(schema: &str, data: &[u8], times: &[u64]) -> Vec<u8> {
    let mut all = START.to_vec();
    for (id, topic) in [(1_u16, "/joint_states"), (2, "/odd")] {
        let schema =
            [&id.to_le_bytes()[..], &text(b"pkg/msg/Thing"), &text(b"ros2msg"), &text(schema.as_bytes())];
        all.extend(record(3, &schema.concat()));
        let channel =
            [&id.to_le_bytes()[..], &id.to_le_bytes(), &text(topic.as_bytes()), &text(b"cdr"), &[0; 4]];
        all.extend(record(4, &channel.concat()));
        for time in times {
            let message = [&id.to_le_bytes()[..], &[0; 4], &time.to_le_bytes(), &time.to_le_bytes(), data];
            all.extend(record(5, &message.concat()));
        }
    }
    all.extend(record(0x0f, &[0; 4]));
    all
}

#[test]
fn lies_of_recordings() {
    in_limited_process("recordings::lies_of_recordings", |attacks| {
        let fields = "float64[] position\nfloat64[] parts\n";
        let good =
            [&[0, 1, 0, 0][..], &1_u32.to_le_bytes(), &[0; 4], &[0; 8], &1_u32.to_le_bytes(), &[0; 12]]
                .concat();
        let steps: Vec<u64> = (0..10).map(|i| i * 20_000_000).collect();
        assert!(attacks.file("mcap", "good", &recording(fields, &good, &steps)));
        let many = [&[0, 1, 0, 0][..], &u32::MAX.to_le_bytes(), &[0; 4]].concat();
        attacks.refused("mcap", "a list without end", &recording(fields, &many, &steps));
        attacks.refused("mcap", "another encoding", &recording(fields, &[0, 9, 0, 0, 1], &steps));
        attacks.refused("mcap", "times of centuries", &recording(fields, &good, &[0, u64::MAX]));
        let fixed = "float64[4000000000000000000] position\nfloat64[] parts\n";
        attacks.refused("mcap", "a list of all memory", &recording(fixed, &good, &steps));
        attacks.refused(
            "mcap",
            "a size beyond numbers",
            &recording("float64[99999999999999999999] position\n", &good, &steps),
        );
        attacks.refused(
            "mcap",
            "a type of itself",
            &recording("Thing position\nThing parts\n", &good, &steps),
        );
        // Types that have the next one twice: 2^30 fields.
        let mut twice = "T0 position\nT0 parts\n".to_owned();
        for i in 0..30 {
            twice += &format!("===\nMSG: pkg/T{i}\nT{0} a\nT{0} b\n", i + 1);
        }
        twice += "===\nMSG: pkg/T30\nfloat64 x\n";
        attacks.refused("mcap", "types that double", &recording(&twice, &good, &steps));
        for (what, compression) in [("zstd", &b"zstd"[..]), ("lz4", b"lz4"), ("none", b""), ("other", b"xz")]
        {
            for size in [1_u64 << 62, 1 << 31, u64::MAX] {
                let chunk = [
                    &[0; 16][..],
                    &size.to_le_bytes(),
                    &[0; 4],
                    &text(compression),
                    &8_u64.to_le_bytes(),
                    &[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0],
                ];
                let bytes = [START, &record(6, &chunk.concat())].concat();
                attacks.refused("mcap", &format!("a chunk of {size} bytes, {what}"), &bytes);
            }
        }
        let long = [START, &[5], &u64::MAX.to_le_bytes()[..], &[0; 50]].concat();
        attacks.refused("mcap", "a record without end", &long);
        attacks.refused("mcap", "nothing", START);
    });
}
