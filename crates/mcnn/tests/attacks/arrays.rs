//! Attacks on `.npz`: demonstrations, and an expert's network.

use std::io::{Cursor, Read, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{Attacks, in_limited_process, random_damage};

/// A zip of entries by name.
fn zip(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn stored(entries: &[(&str, &[u8])]) -> Vec<u8> {
    zip(entries, CompressionMethod::Stored)
}

/// A NumPy array with the given header.
fn npy(header: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap();
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], header, data].concat()
}

fn floats(shape: &str, n: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    npy(header.as_bytes(), &0.25_f32.to_le_bytes().repeat(n))
}

fn ends() -> Vec<u8> {
    let data: Vec<u8> = [4_i64, 8].iter().flat_map(|v| v.to_le_bytes()).collect();
    npy(b"{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", &data)
}

/// The arrays of a valid file of demonstrations: 8 steps, states of dimension 3, actions of dimension 2.
fn good() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("states.npy", floats("(8, 3)", 24)),
        ("actions.npy", floats("(8, 2)", 16)),
        ("episode_ends.npy", ends()),
        ("rewards.npy", floats("(8,)", 8)),
    ]
}

/// An expert of 3 inputs, layers of 2, and 2 actions.
fn expert() -> Vec<(&'static str, Vec<u8>)> {
    let mut arrays = vec![("w0.npy", floats("(2, 3)", 6))];
    arrays.extend(["w1.npy", "w2.npy"].map(|name| (name, floats("(2, 2)", 4))));
    arrays.extend(["in_shift.npy", "in_scale.npy"].map(|name| (name, floats("(3,)", 3))));
    let rest = ["b0.npy", "b1.npy", "b2.npy", "log_std.npy", "out_shift.npy", "out_scale.npy"];
    arrays.extend(rest.map(|name| (name, floats("(2,)", 2))));
    arrays
}

fn packed(arrays: &[(&'static str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let borrowed: Vec<(&str, &[u8])> = arrays.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    zip(&borrowed, method)
}

/// Headers with wrong, contradictory or invalid contents.
fn headers() -> Vec<Vec<u8>> {
    let mut headers: Vec<Vec<u8>> = Vec::new();
    let giants = [0, 1, 1 << 32, 1 << 61, u64::MAX];
    for descr in ["<f4", "|b1"] {
        for fortran in ["True", "False"] {
            for a in giants {
                headers.push(header(descr, fortran, &format!("({a},)")));
                for b in giants {
                    headers.push(header(descr, fortran, &format!("({a}, {b})")));
                    headers.push(header(descr, fortran, &format!("({a}, {b}, 0)")));
                }
            }
        }
    }
    for descr in
        ["<f2", "<f16", "<c8", "|O", "|V8", "<U9", "<M8[s]", "f4", "<f", "<", "", "<f99999999999999999999"]
    {
        headers.push(header(descr, "False", "(8, 3)"));
    }
    let ones = format!("({})", "1, ".repeat(20_000));
    for shape in
        ["(-8, 3)", "(8.0, 3)", "(8 3)", "(8, 3", "8", "()", "(1e3, 2)", "(99999999999999999999,)", &ones]
    {
        headers.push(header("<f4", "False", shape));
    }
    headers.push(header("<f4", "False", &"(".repeat(30_000)));
    headers
        .push([&b"{'descr': '<f4', 'fortran_order': False, 'shape': (8, 3), \xff\xfe"[..], b"}\n"].concat());
    headers.push(b"\xff".repeat(100));
    headers.push(vec![]);
    headers
}

fn header(descr: &str, fortran: &str, shape: &str) -> Vec<u8> {
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n").into_bytes()
}

fn with_headers(attacks: &mut Attacks, reader: &str, arrays: &[(&'static str, Vec<u8>)]) {
    for i in 0..arrays.len().min(4) {
        for (k, header) in headers().iter().enumerate() {
            let mut arrays = arrays.to_vec();
            for data in [&[0; 96][..], &[]] {
                arrays[i].1 = npy(header, data);
                let what = format!("{}, header {k} over {} bytes", arrays[i].0, data.len());
                attacks.file(reader, &what, &packed(&arrays, CompressionMethod::Stored));
            }
        }
        // Other versions of the format, with headers longer than the file.
        for version in 0..5 {
            for length in [0, 1, 0xffff, 0x10000, 0x7fff_ffff, u32::MAX] {
                let mut arrays = arrays.to_vec();
                arrays[i].1 = [b"\x93NUMPY", &[version, 0][..], &length.to_le_bytes(), b"{'descr"].concat();
                let what = format!("{}, version {version}, {length} bytes of header", arrays[i].0);
                attacks.refused(reader, &what, &packed(&arrays, CompressionMethod::Stored));
            }
        }
    }
}

#[test]
fn npz_of_demonstrations() {
    in_limited_process("arrays::npz_of_demonstrations", |attacks| {
        assert!(attacks.file("demonstrations", "good", &packed(&good(), CompressionMethod::Stored)));
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            random_damage(attacks, "demonstrations", &format!("{method}"), &packed(&good(), method), 1500);
        }
        with_headers(attacks, "demonstrations", &good());
    });
}

#[test]
fn npz_of_an_expert() {
    in_limited_process("arrays::npz_of_an_expert", |attacks| {
        let whole = packed(&expert(), CompressionMethod::Deflated);
        assert!(attacks.file("expert", "good", &whole));
        random_damage(attacks, "expert", "damaged", &whole, 300);
        with_headers(attacks, "expert", &expert());
        for i in 0..expert().len() {
            for value in [f32::NAN, f32::INFINITY, f32::MAX, -1e-8] {
                let mut arrays = expert();
                let at = arrays[i].1.len() - 4;
                arrays[i].1[at..].copy_from_slice(&value.to_le_bytes());
                let what = format!("{} with {value}", arrays[i].0);
                let read = attacks.file("expert", &what, &packed(&arrays, CompressionMethod::Stored));
                assert_eq!(read, value.is_finite(), "{what}");
            }
        }
    });
}

#[test]
fn inconsistent_zips() {
    in_limited_process("arrays::inconsistent_zips", |attacks| {
        let refused = |attacks: &mut Attacks, what: &str, bytes: &[u8]| {
            attacks.refused("demonstrations", what, bytes);
            attacks.refused("expert", what, bytes);
        };
        // Names that are paths: no array has that name, and nothing is written.
        for before in ["../", "/", "..\\", "C:\\", "./", "a/../", "\0"] {
            let names: Vec<String> = good().iter().map(|(name, _)| format!("{before}{name}")).collect();
            let arrays = good();
            let arrays: Vec<_> = names.iter().zip(&arrays).map(|(n, (_, b))| (n.as_str(), &b[..])).collect();
            refused(attacks, &format!("names after {before:?}"), &stored(&arrays));
        }
        let mut not_text = packed(&good(), CompressionMethod::Stored);
        for at in 0..not_text.len() {
            if not_text[at..].starts_with(b"states.npy") {
                not_text[at] = 0xff;
            }
        }
        refused(attacks, "a name that is not text", &not_text);

        // The same name twice, with different contents.
        let mut twice = good();
        twice.push(("statez.npy", floats("(7, 3)", 21)));
        let mut twice = packed(&twice, CompressionMethod::Stored);
        for at in 0..twice.len() {
            if twice[at..].starts_with(b"statez.npy") {
                twice[at + 5] = b's';
            }
        }
        refused(attacks, "states twice", &twice);

        // Central directories with entries that do not exist.
        let whole = packed(&good(), CompressionMethod::Stored);
        let (body, end) = whole.split_at(whole.len() - 22);
        assert!(end.starts_with(b"PK\x05\x06"));
        for giant in [u64::MAX, u64::MAX >> 1, 1 << 40, 1 << 32, 1 << 20] {
            for field in 0..8 {
                let fields: Vec<u8> = [4_u64, 4, 212, body.len() as u64 - 212]
                    .iter()
                    .enumerate()
                    .flat_map(|(i, &n)| if field % 4 == i || field == 7 { giant } else { n }.to_le_bytes())
                    .collect();
                let record =
                    [b"PK\x06\x06", &44_u64.to_le_bytes()[..], &[45, 0, 45, 0], &[0; 8], &fields].concat();
                let place = if field > 3 { giant } else { body.len() as u64 };
                let locator = [b"PK\x06\x07", &[0; 4][..], &place.to_le_bytes(), &[1, 0, 0, 0]].concat();
                let last = [b"PK\x05\x06", &[0; 4][..], &[0xff; 12], &[0; 2]].concat();
                let what = format!("zip64, {giant:x} in field {field}");
                attacks.file("demonstrations", &what, &[body, &record, &locator, &last].concat());
            }
        }
    });
}

#[test]
fn decompression_bombs() {
    in_limited_process("arrays::decompression_bombs", |attacks| {
        // 4 GiB of zeros in about 4 MB, behind a header of 96 bytes of values.
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .large_file(true);
        for (name, bytes) in good() {
            writer.start_file(name, options).unwrap();
            writer.write_all(&bytes).unwrap();
            if name == "states.npy" {
                std::io::copy(&mut std::io::repeat(0).take(4 << 30), &mut writer).unwrap();
            }
        }
        let bomb = writer.finish().unwrap().into_inner();
        assert!(bomb.len() < 64 << 20, "{} bytes", bomb.len());
        attacks.refused("demonstrations", "4 GiB of zeros behind a header of 24 values", &bomb);

        // A header with a larger array than the file can expand to.
        let mut arrays = good();
        arrays[0].1 = npy(&header("<f4", "False", "(2147483648, 3)"), &vec![0; 1 << 20]);
        attacks.refused(
            "demonstrations",
            "a header of 24 GiB",
            &packed(&arrays, CompressionMethod::Deflated),
        );

        // An array that the file does contain, above the memory limit.
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in good() {
            writer.start_file(name, options).unwrap();
            if name == "states.npy" {
                writer.write_all(&npy(&header("<f4", "False", "(100000000, 3)"), &[])).unwrap();
                std::io::copy(&mut std::io::repeat(0).take(1_200_000_000), &mut writer).unwrap();
            } else {
                writer.write_all(&bytes).unwrap();
            }
        }
        let honest = writer.finish().unwrap().into_inner();
        assert!(honest.len() < 16 << 20 && 1032 * honest.len() > 1_200_000_000, "{} bytes", honest.len());
        attacks.refused("demonstrations", "1.2 GB of zeros", &honest);
        let why = mcnn::data::read(&attacks.path("hostile"), &Default::default()).unwrap_err().to_string();
        assert!(why.contains("MCNN_EXPAND_MIB"), "refused before it is read, not when memory is gone: {why}");
        // A large constant array in a small file, below the memory limit.
        let mut arrays = good();
        arrays[0].1 = npy(&header("<f4", "False", "(8, 1000000)"), &vec![0; 32_000_000]);
        let constant = packed(&arrays, CompressionMethod::Deflated);
        assert!(constant.len() < 100_000, "{} bytes", constant.len());
        assert!(attacks.file("demonstrations", "32 MB of zeros", &constant));
    });
}
