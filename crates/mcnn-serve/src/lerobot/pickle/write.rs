//! The reply: `list[TimedAction]`.

/// The pickle (protocol 4) of a list of `TimedAction`: the time and the number of each step, and its action as a torch tensor of 32-bit
/// floats. `actions`: `[n, n_act]`; the first is of step `timestep` at `timestamp`, and `period` is the time between two.
pub fn actions(timestamp: f64, timestep: i64, period: f64, actions: &[f32], n_act: usize) -> Vec<u8> {
    let mut out = b"\x80\x04".to_vec();
    global(&mut out, "torch", "tensor"); // memo 0
    out.extend(b"\x940");
    global(&mut out, "lerobot.async_inference.helpers", "TimedAction"); // memo 1
    out.extend(b"\x940](");
    for (k, action) in actions.chunks_exact(n_act).enumerate() {
        out.extend(b"h\x01)\x81}("); // an instance without fields, and a dict
        text(&mut out, "timestamp");
        float(&mut out, timestamp + k as f64 * period);
        text(&mut out, "timestep");
        integer(&mut out, timestep.saturating_add(k as i64));
        text(&mut out, "action");
        out.extend(b"h\x00](");
        action.iter().for_each(|value| float(&mut out, f64::from(*value)));
        out.extend(b"e\x85Rub"); // the list's end, a tuple of it, the call, the dict's end, its fields
    }
    out.extend(b"e.");
    out
}

/// Pushes a global.
fn global(out: &mut Vec<u8>, module: &str, name: &str) {
    text(out, module);
    text(out, name);
    out.push(0x93);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend([0x8c, text.len() as u8]);
    out.extend(text.as_bytes());
}

fn float(out: &mut Vec<u8>, value: f64) {
    out.push(b'G');
    out.extend(value.to_be_bytes());
}

/// A number of 64 bits.
fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend([0x8a, 8]);
    out.extend(value.to_le_bytes());
}
