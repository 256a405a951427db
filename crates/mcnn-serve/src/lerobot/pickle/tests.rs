//! The machine against bytes that LeRobot 0.4.4 wrote (`tests/fixtures/lerobot`), and against broken and hostile ones.

use super::*;
use crate::codec::Value;

const INSTRUCTIONS: &[u8] = include_bytes!("../../../tests/fixtures/lerobot/instructions.pkl");
const OBSERVATIONS: [&[u8]; 2] = [
    include_bytes!("../../../tests/fixtures/lerobot/observation-4.pkl"),
    include_bytes!("../../../tests/fixtures/lerobot/observation-5.pkl"),
];
/// What was pickled.
const PICKLED: &str = include_str!("../../../tests/fixtures/lerobot/observation.json");

#[test]
fn what_the_client_pickles_is_read() {
    let expected: serde_json::Value = serde_json::from_str(PICKLED).unwrap();
    for message in OBSERVATIONS {
        let TimedObservation { timestamp, timestep, must_go, observation } = observation(message).unwrap();
        assert_eq!((timestamp, timestep, must_go), (1764500000.25, 7, true));
        for (k, value) in expected["state"].as_array().unwrap().iter().enumerate() {
            let found = observation.get(&format!("joint_{k}.pos"));
            assert_eq!(found, Some(&Value::Number(value.as_f64().unwrap())), "joint {k}");
        }
        let Some(Value::Array(front)) = observation.get("front") else { panic!("{observation:?}") };
        let pixels: Vec<u8> =
            expected["front"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u8).collect();
        assert_eq!((front.shape(), front.data()), (&[32, 48, 3][..], &pixels[..]));
        assert_eq!(observation.get("task"), Some(&Value::Text("drive".into())));
    }
    let found = instructions(INSTRUCTIONS).unwrap();
    let names: Vec<String> = (0..10).map(|k| format!("joint_{k}.pos")).collect();
    assert_eq!(found, Instructions { state_names: names, actions_per_chunk: Some(3) });
    assert!(observation(INSTRUCTIONS).is_err() && instructions(OBSERVATIONS[0]).is_err());
}

#[test]
fn names_beside_those_of_the_messages_are_refused() {
    for (module, name) in [
        ("os", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("posix", "system"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("lerobot.async_inference.helpers", "os"),
        ("lerobot.async_inference.helpers", "TimedObservation.__init__.__globals__"),
        ("torch", "load"),
    ] {
        let stacked = [
            b"\x80\x04\x8c".as_slice(),
            &[module.len() as u8],
            module.as_bytes(),
            b"\x8c",
            &[name.len() as u8],
            name.as_bytes(),
            b"\x93\x8c\x02id\x85R.",
        ]
        .concat();
        let line = format!("c{module}\n{name}\n(X\x02\0\0\0idtR.").into_bytes();
        for message in [stacked, line] {
            let error = observation(&message).unwrap_err().to_string();
            assert!(error.contains("names what it may not") && error.contains(name), "{error}");
        }
    }
    // Persistent objects, instances of classes by name, extension codes, buffers from elsewhere.
    for opcode in [b'P', b'Q', b'i', b'o', 0x82, 0x83, 0x84, 0x92, 0x97, 0x98, b'S', b'I', b'L', b'V', b'F'] {
        let error = observation(&[0x80, 4, opcode]).unwrap_err().to_string();
        assert!(error.contains("not read"), "{opcode}: {error}");
    }
}

#[test]
fn broken_messages_are_refused_and_never_panic() {
    for message in OBSERVATIONS.into_iter().chain([INSTRUCTIONS]) {
        for n in 0..message.len().min(700) {
            assert!(machine::run(&message[..n]).is_err());
            for byte in *b"\0\x01\x7f\xff(.bRhtu]" {
                let mut changed = message.to_vec();
                changed[n] = byte;
                let _ = observation(&changed);
                let _ = instructions(&changed);
            }
        }
    }
    let class = b"\x80\x04\x8c\x1flerobot.async_inference.helpers\x8c\x10TimedObservation\x93)\x81";
    let with = |fields: &[u8]| [class.as_slice(), fields, b"b."].concat();
    // A dict in itself, lists that double at every level, and a list of itself.
    let in_itself = with(b"}\x94\x8c\x01xh\x00s");
    let mut doubled = b"}(\x8c\x01x]\x94".to_vec();
    for k in 0..40 {
        doubled.extend([0x8c, 1, b'a', b']', 0x94, b'(', b'h', k, b'h', k, b'e']);
    }
    doubled.push(b'u');
    for (message, what) in [
        (in_itself, "too many values or levels"),
        (with(&doubled), "too many values or levels"),
        (with(b"}\x8c\x01x]\x94h\x00as"), "too many values or levels"),
        ([b"\x80\x04".as_slice(), &[b'N'; 100_000], b"."].concat(), "too many objects"),
        (b"\x80\x04r\xff\xff\xff\x7f.".to_vec(), "memo"),
        (b"\x80\x04Nr\xff\xff\xff\x7f.".to_vec(), "memo"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff.".to_vec(), "cut off"),
        (b"\x80\x04(\x85.".to_vec(), "operands"),
    ] {
        let error = observation(&message).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn the_reply_has_every_action_with_its_step() {
    let bytes = actions(10.0, 5, 0.5, &[1.0, 2.0, 3.0, 4.0], 2);
    // Python reads it in the tests of the server; here the numbers are looked for.
    let count = |part: &[u8]| bytes.windows(part.len()).filter(|window| *window == part).count();
    assert_eq!([count(b"timestamp"), count(b"timestep"), count(b"TimedAction")], [2, 2, 1]);
    for value in [10.0_f64, 10.5, 1.0, 4.0] {
        assert_eq!(count(&[b"G".as_slice(), &value.to_be_bytes()].concat()), 1, "{value}");
    }
    assert!(actions(0.0, 0, 0.1, &[], 2).ends_with(b"](e."));
}
