//! Requests in the forms that clients of openpi send, and wrong ones.

use super::*;
use crate::codec::{Array, Dtype};

fn states() -> Inputs {
    Inputs { n_state: 3, chosen: vec![], of_data: vec![], names: vec![], cameras: vec![], image_keys: vec![] }
}

fn keys(texts: &[&str]) -> Vec<KeyRange> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn array<'a>(shape: &[usize], data: &'a [u8]) -> Value<'a> {
    let dtype = if data.len() == shape.iter().product::<usize>() { "|u1" } else { "<f4" };
    Value::Array(Array::new(Dtype::parse(dtype).unwrap(), shape.to_vec(), data).unwrap())
}

fn map<'a>(entries: &[(&'static str, Value<'a>)]) -> Value<'a> {
    Value::Map(entries.iter().map(|(key, value)| (Cow::Borrowed(*key), value.clone())).collect())
}

fn read(inputs: &Inputs, request: &Value) -> Vec<f32> {
    match inputs.read(request).unwrap() {
        Observation::States(states) => states,
        other => panic!("{other:?}"),
    }
}

fn refused(inputs: &Inputs, request: &Value) -> String {
    match inputs.read(request).unwrap_err() {
        Refused::Keys(error) => format!("keys: {error}"),
        Refused::Value(error) => format!("value: {error}"),
    }
}

#[test]
fn the_state_is_read_under_the_keys_of_openpis_examples() {
    let data = floats(&[1.0, 2.0, 3.0]);
    let state = || array(&[3], &data);
    for request in [
        map(&[("observation/state", state()), ("prompt", Value::Text("pick".into()))]),
        map(&[("state", state())]),
        map(&[("observation", map(&[("state", state())]))]),
        map(&[("state", Value::List([1.0, 2.0, 3.0].map(Value::Number).to_vec()))]),
    ] {
        assert_eq!(read(&states(), &request), [1.0, 2.0, 3.0]);
    }
    let rows = floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(read(&states(), &map(&[("state", array(&[2, 3], &rows))])).len(), 6);
}

#[test]
fn keys_of_the_data_and_names_of_dimensions_are_read_where_there_is_no_whole_state() {
    let (joints, gripper) = (floats(&[1.0, 2.0]), floats(&[3.0]));
    let inputs = Inputs { of_data: keys(&["joint_position", "gripper_position"]), ..states() };
    for prefix in ["", "observation/"] {
        let name = |key: &str| -> &'static str { format!("{prefix}{key}").leak() };
        let request = map(&[
            (name("gripper_position"), array(&[1], &gripper)),
            (name("joint_position"), array(&[2], &joints)),
        ]);
        assert_eq!(read(&inputs, &request), [1.0, 2.0, 3.0]);
    }
    let named = Inputs { names: ["x.pos", "y.pos", "z.pos"].map(String::from).to_vec(), ..states() };
    let request = map(&[
        ("z.pos", Value::Number(3.0)),
        ("x.pos", array(&[1], &gripper)),
        ("y.pos", Value::Number(2.0)),
    ]);
    assert_eq!(read(&named, &request), [3.0, 2.0, 3.0]);
    assert!(refused(&named, &map(&[("x.pos", Value::Number(1.0))])).starts_with("keys: "));
}

#[test]
fn chosen_keys_are_joined_in_their_order_and_ranges_are_cut_out() {
    let (whole, gripper) = (floats(&[1.0, 2.0, 9.0]), floats(&[3.0]));
    let inputs = Inputs { chosen: keys(&["gripper", "arm:0-1"]), ..states() };
    let request = map(&[("arm", array(&[3], &whole)), ("gripper", array(&[1], &gripper))]);
    assert_eq!(read(&inputs, &request), [3.0, 1.0, 2.0]);
    let cut = map(&[("arm", array(&[2], &whole[..8])), ("gripper", array(&[1], &gripper))]);
    assert_eq!(read(&inputs, &cut), [3.0, 1.0, 2.0], "a client may send the range alone");
    let short = map(&[("arm", array(&[1], &gripper)), ("gripper", array(&[1], &gripper))]);
    assert!(refused(&inputs, &short).contains("arm:0-1"));
    // A chosen key is needed even if there is a whole state.
    assert!(refused(&inputs, &map(&[("state", array(&[3], &whole))])).contains("gripper, arm:0-1"));
    let other = map(&[("arm", array(&[3], &whole)), ("gripper", array(&[3], &whole))]);
    assert!(refused(&inputs, &other).contains("found: 5 (gripper: an array <f4 of shape [3]"));
}

#[test]
fn wrong_states_are_refused_with_what_was_expected() {
    let data = floats(&[0.0; 6]);
    for (value, found) in [
        (array(&[2], &data[..8]), "an array <f4 of shape [2]"),
        (array(&[3, 2], &data), "an array <f4 of shape [3, 2]"),
        (array(&[1, 1, 3], &data[..12]), "of shape [1, 1, 3]"),
        (Value::Number(1.0), "a number"),
        (Value::Text("x".into()), "text"),
        (Value::List(vec![Value::Nil; 3]), "nothing"),
    ] {
        let message = refused(&states(), &map(&[("state", value)]));
        assert!(message.starts_with("value: ") && message.contains(found), "{message}");
    }
    let message = refused(&states(), &map(&[("images/cam", Value::Nil), ("tate", Value::Nil)]));
    assert!(message.contains("expected: observation/state or state (3 values)"), "{message}");
    assert!(message.contains("found: images/cam, tate"), "{message}");
    assert!(refused(&states(), &Value::Number(1.0)).contains("found: a number"));
    assert!(refused(&states(), &map(&[])).contains("no keys"));
}

#[test]
fn frames_have_color_last_or_first_and_one_size() {
    let inputs = Inputs { n_state: 0, cameras: vec![Camera { name: None, size: [2, 4] }], ..states() };
    let last: Vec<u8> = (0..24).collect();
    let first: Vec<u8> = (0..3).flat_map(|color| (0..8).map(move |pixel| pixel * 3 + color)).collect();
    for (key, value) in [
        ("observation/image", array(&[2, 4, 3], &last)),
        ("image", array(&[3, 2, 4], &first)),
        ("observation/wrist_image", array(&[1, 2, 4, 3], &last)),
    ] {
        let request = map(&[(key, value), ("observation/state", Value::Nil)]);
        assert_eq!(
            inputs.read(&request).unwrap(),
            Observation::Frames(Cow::Owned(last.clone()), vec![]),
            "{key}"
        );
    }
    for value in [array(&[4, 2, 3], &last), array(&[24], &last), Value::Bytes(&last)] {
        assert!(refused(&inputs, &map(&[("image", value)])).contains("expected: uint8, 2 x 4 x 3 or"));
    }
    let several = map(&[("a", array(&[2, 4, 3], &last)), ("b", array(&[2, 4, 3], &last))]);
    assert!(refused(&inputs, &several).contains("--image-keys"));
    let named = Inputs { image_keys: vec!["b".into()], ..inputs.clone() };
    assert!(named.read(&several).is_ok());
    assert!(refused(&named, &map(&[("a", array(&[2, 4, 3], &last))])).starts_with("keys: "));
    assert!(refused(&inputs, &map(&[("state", Value::Nil)])).contains("observation/image (uint8, 2 x 4 x 3"));
}
