//! The codec against bytes that `openpi_client.msgpack_numpy` 0.1.2 wrote, and against broken messages.

use super::*;

/// `packb({"state": np.arange(3, dtype=np.float32), "t": np.float64(1.5), "n": {"flag": True, "i": -3, "none": None}})`
const PACKED: &[u8] = include_bytes!("../../tests/fixtures/packed.msgpack");

fn array<'v>(value: &'v Value<'v>) -> &'v Array<'v> {
    match value {
        Value::Array(array) => array,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_client_packs_is_read() {
    let value = decode(PACKED).unwrap();
    assert_eq!(value.keys(), ["state", "t", "n/flag", "n/i", "n/none"]);
    assert_eq!(key_text(&["a", &"é".repeat(100), "b"]), format!("a/{}", "é".repeat(78)));
    let state = array(value.get("state").unwrap());
    assert_eq!((state.shape(), state.dtype().name().as_str()), (&[3][..], "<f4"));
    assert_eq!(state.values().collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
    assert_eq!(value.get("t"), Some(&Value::Number(1.5)));
    assert_eq!(value.get("n/i"), Some(&Value::Number(-3.0)));
    assert_eq!((value.get("n/flag"), value.get("n/none")), (Some(&Value::Bool(true)), Some(&Value::Nil)));
    assert_eq!((value.get("n/x"), value.get("x/i"), value.get("state/x")), (None, None, None));
}

#[test]
fn every_type_of_array_keeps_its_values() {
    for (dtype, bytes, expected) in [
        ("<f4", &1.5_f32.to_le_bytes()[..], 1.5),
        (">f4", &1.5_f32.to_be_bytes()[..], 1.5),
        ("<f8", &(-0.1_f64).to_le_bytes()[..], -0.1),
        ("|u1", &[200][..], 200.0),
        ("|i1", &[200][..], -56.0),
        ("<i2", &(-300_i16).to_le_bytes()[..], -300.0),
        (">u2", &65000_u16.to_be_bytes()[..], 65000.0),
        ("<i4", &i32::MIN.to_le_bytes()[..], f64::from(i32::MIN)),
        ("<u4", &u32::MAX.to_le_bytes()[..], f64::from(u32::MAX)),
        ("<i8", &(-5_i64).to_le_bytes()[..], -5.0),
        ("|b1", &[1][..], 1.0),
    ] {
        let dtype = Dtype::parse(dtype).unwrap();
        let array = Array::new(dtype, vec![1], bytes).unwrap();
        assert_eq!(array.values().collect::<Vec<_>>(), [expected], "{}", dtype.name());
        assert_eq!(Dtype::parse(&dtype.name()).unwrap(), dtype);
    }
    for refused in ["<f2", "<c8", "|O", "<f16", "|V8", "", "<i3", "<M8[ns]"] {
        assert!(Dtype::parse(refused).is_err(), "{refused}");
    }
}

#[test]
fn arrays_of_another_length_than_their_shape_are_refused() {
    for (shape, len) in [(vec![3], 8), (vec![usize::MAX, 2], 8), (vec![1; 9], 4), (vec![], 8), (vec![0], 4)] {
        assert!(Array::new(Dtype::parse("<f4").unwrap(), shape, &[0; 8][..len]).is_err());
    }
    assert!(Array::new(Dtype::parse("<f4").unwrap(), vec![], &[0; 4]).is_ok());
    let many = Array::new(Dtype::U8, vec![1; 60_000], &[0]).unwrap_err().to_string();
    assert!(many.contains("found: 60000") && many.len() < 200, "{many}");
}

#[test]
fn broken_messages_are_refused_and_never_panic() {
    let mut nested = vec![0x91; 40];
    nested.push(0xc0);
    let many = [&[0xdd, 0x00, 0x02, 0x00, 0x00][..], &[0xc0; 1 << 17]].concat();
    for (bytes, what) in [
        (&[][..], "cut off"),
        (&[0xdd, 0xff, 0xff, 0xff, 0xff], "cut off"),
        (&[0xdf, 0xff, 0xff, 0xff, 0xff, 0xc0], "not text"),
        (&[0xc6, 0xff, 0xff, 0xff, 0xff, 0x00], "cut off"),
        (&[0xa2, 0xff, 0xff], "UTF-8"),
        (&[0xc0, 0xc0], "bytes after"),
        (&[0xc1], "extension"),
        (&[0xd4, 0x01, 0x00], "extension"),
        (
            &[0x81, 0xc4, 0x0b, b'_', b'_', b'n', b'd', b'a', b'r', b'r', b'a', b'y', b'_', b'_', 0xc3],
            "without data",
        ),
        (&nested, "too many"),
        (&many, "too many"),
    ] {
        let error = decode(bytes).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
    // Every prefix, and every byte changed.
    for n in 0..PACKED.len() {
        assert!(decode(&PACKED[..n]).is_err());
        for byte in [0x00, 0x7f, 0x80, 0xc0, 0xc6, 0xdd, 0xdf, 0xff] {
            let mut bytes = PACKED.to_vec();
            bytes[n] = byte;
            let _ = decode(&bytes);
        }
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut writer = Writer::default();
    writer.map(4).text("a").floats(&[1.0, -2.5], &[2, 1]).text("b").integers(&[7, -7], &[2]);
    writer.text("c").truths(&[true, false]).text("d").texts(["x", "y"].into_iter());
    let bytes = writer.into_bytes();
    let value = decode(&bytes).unwrap();
    assert_eq!(array(value.get("a").unwrap()).shape(), [2, 1]);
    for (key, expected) in [("a", [1.0, -2.5]), ("b", [7.0, -7.0]), ("c", [1.0, 0.0])] {
        assert_eq!(array(value.get(key).unwrap()).values().collect::<Vec<_>>(), expected, "{key}");
    }
    assert_eq!(value.get("d"), Some(&Value::List(vec![Value::Text("x".into()), Value::Text("y".into())])));
}
