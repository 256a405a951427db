//! Against recordings that mcap-ros2-support wrote and decoded (tests/fixtures/mcap/make.py).

use super::*;
use crate::data::{
    CameraRecording, Format, ReadOptions, Usage,
    fixtures::{expected, unpacked},
    inspect, read as read_data, read_parts,
};

fn selection(state: &[&str], action: &[&str], hz: f64) -> Selection {
    let keys = |keys: &[&str]| keys.iter().map(|key| key.parse().unwrap()).collect();
    Selection { state: keys(state), action: keys(action), hz: Some(hz), ..Selection::default() }
}

fn arm() -> Selection {
    selection(&["/joint_states.position"], &["/cmd.data"], 30.0)
}

#[test]
fn values_are_those_of_the_formats_own_decoder_at_the_ticks() {
    let folder = unpacked("mcap/recordings.zip");
    let odd = ["flag", "small", "raw", "half", "tiny", "large", "triple", "last", "parts", "more", "end"];
    let odd: Vec<String> = odd.iter().map(|field| format!("/odd.{field}")).collect();
    let odd: Vec<&str> = odd.iter().map(|key| &**key).collect();
    for (name, selection) in [
        ("arm", arm()),
        ("twist", selection(&["/base/cmd.vel"], &["/cmd.data"], 50.0)),
        ("odd", selection(&odd, &["/cmd.data"], 25.0)),
        ("stamped", selection(&["/joint_states.position"], &["/joint_states.velocity"], 100.0)),
    ] {
        let values = |key: &str| expected("mcap/expected.npz", &format!("{name}/{key}"));
        for file in ["none.mcap", "lz4.mcap", "zstd.mcap", "bag"] {
            let (format, found) = read_parts(&folder.path().join(file), &selection)
                .unwrap_or_else(|e| panic!("{name} {file}: {e}"));
            assert_eq!(format, Format::Mcap);
            assert_eq!((found.n_obs, found.states), values("states"), "{name} {file}");
            assert_eq!((found.n_act, found.actions), values("actions"), "{name} {file}");
        }
    }
}

#[test]
fn episodes_end_at_gaps_and_names_are_those_of_joints() {
    let folder = unpacked("mcap/recordings.zip");
    let path = folder.path().join("zstd.mcap");
    let with = |gap: Option<f64>| {
        let options = ReadOptions { selection: Selection { gap, ..arm() }, ..ReadOptions::default() };
        read_data(&path, &options).unwrap()
    };
    let data = with(None);
    assert_eq!((data.n_episodes(), data.origin().fps), (1, Some(30.0)));
    assert_eq!(data.names().state_names.as_ref().unwrap(), &["shoulder", "elbow", "wrist"]);
    let data = with(Some(0.1));
    assert_eq!(data.n_episodes(), 2);
    assert!(data.episode(0).len() < 18 && data.episode(1).len() < 18);
    let one = ReadOptions {
        selection: Selection { episodes: vec![1..=1], gap: Some(0.1), ..arm() },
        ..Default::default()
    };
    assert_eq!(read_data(&path, &one).unwrap().states(), &data.states()[data.ends()[0] * 3..]);
    // The rate of other data is taken where none is said.
    let usual = Selection { hz: None, default_hz: Some(30.0), ..arm() };
    assert_eq!(read_parts(&path, &usual).unwrap().1.n_steps(), with(None).n_steps());
    let part = selection(&["/joint_states.position:1-2", "/base/cmd.vel.linear.x"], &["/cmd.data.1"], 30.0);
    let (_, found) = read_parts(&path, &part).unwrap();
    assert_eq!((found.n_obs, found.n_act), (3, 1));
}

#[test]
fn topics_are_listed_and_what_is_not_there_is_refused_with_what_is() {
    let folder = unpacked("mcap/recordings.zip");
    let path = folder.path().join("zstd.mcap");
    let found = inspect(&path, &arm()).unwrap();
    let key = |name: &str| found.keys.iter().find(|key| key.name == name).unwrap();
    assert_eq!(
        (&key("/joint_states.position").shape[..], key("/joint_states.position").used_as),
        (&[3][..], Usage::State)
    );
    assert_eq!(
        (&*key("/base/cmd.vel.linear.x").dtype, key("/base/cmd.vel.linear.x").used_as),
        ("float64", Usage::Unused)
    );
    assert_eq!(key("/cmd.data").used_as, Usage::Action);
    assert!(key("/json").dtype.contains("json"));
    let refused = |selection: &Selection| read_parts(&path, selection).unwrap_err().to_string();
    let error = refused(&Selection::default());
    for part in [
        "--state and --action",
        "/joint_states (sensor_msgs/msg/JointState, 90 messages): .position",
        "/json",
    ] {
        assert!(error.contains(part), "{error}");
    }
    for (selection, part) in [
        (Selection { hz: None, ..arm() }, "messages per second: /joint_states.position 9"),
        (selection(&["/joint_state.position"], &["/cmd.data"], 9.0), "/joint_states.position"),
        (selection(&["/joint_states.positions"], &["/cmd.data"], 9.0), "/joint_states.position"),
        (selection(&["/json.x"], &["/cmd.data"], 9.0), "messages in json"),
        (selection(&["/odd.picture"], &["/cmd.data"], 9.0), "different numbers of values"),
        (selection(&["/joint_states.effort"], &["/cmd.data"], 9.0), "a field without numbers"),
        (selection(&["/cmd.data.7"], &["/cmd.data"], 9.0), "an element below 2"),
        (Selection { gap: Some(-1.0), ..arm() }, "--gap"),
        (Selection { task: Some("x".into()), ..arm() }, "--task"),
    ] {
        let error = refused(&selection);
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn frames_are_refused_before_a_rate_is_asked_for() {
    let folder = unpacked("mcap/recordings.zip");
    let opened = CameraRecording::open(&folder.path().join("zstd.mcap"), &[], &Selection::default());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("no frames are read") && error.contains("frames of LeRobot"), "{error}");
}

#[test]
fn a_recording_that_was_stopped_is_read_as_far_as_it_goes() {
    let folder = unpacked("mcap/recordings.zip");
    let bytes = std::fs::read(folder.path().join("none.mcap")).unwrap();
    let path = folder.path().join("cut.mcap");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let found = inspect(&path, &arm()).unwrap();
    assert!(found.notes.iter().any(|note| note.contains("was not closed")), "{:?}", found.notes);
    assert!(found.steps > 2 && found.steps < 35, "{}", found.steps);
}

#[test]
fn damaged_recordings_are_refused_or_read_and_never_panic() {
    let folder = unpacked("mcap/recordings.zip");
    let path = folder.path().join("changed.mcap");
    for file in ["none.mcap", "lz4.mcap", "zstd.mcap"] {
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        for at in (0..bytes.len()).step_by(bytes.len() / 150) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            std::fs::write(&path, &changed).unwrap();
            let _ = read_parts(&path, &arm());
            std::fs::write(&path, &bytes[..at]).unwrap();
            let _ = read_parts(&path, &arm());
        }
    }
}
