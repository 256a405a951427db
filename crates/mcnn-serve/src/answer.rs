//! A reply as openpi's clients read it.

use std::time::Duration;

use mcnn::policy::Constrained;

use crate::{codec::Writer, hub::Hub, session::Reply};

/// The first message to a client: what the policy observes and does.
pub(crate) fn metadata(hub: &Hub) -> Vec<u8> {
    let served = hub.live.current();
    let book = served.policy.codebook();
    let names = &book.parts().names;
    let expected = hub.inputs.expected();
    let mut out = Writer::default();
    let lists = [("state_names", &names.state_names), ("action_names", &names.action_names)];
    let given = || lists.iter().filter_map(|(key, names)| Some((*key, names.as_ref()?)));
    out.map(8 + given().count() + usize::from(!hub.inputs.cameras().is_empty()));
    out.text("server").text(concat!("mcnn ", env!("CARGO_PKG_VERSION")));
    out.text("policy").text(&served.policy.name());
    out.text("fingerprint").text(&served.fingerprint);
    out.text("inputs").texts(expected.iter().map(String::as_str));
    out.text("state_dim").integer(hub.inputs.n_state() as u64);
    out.text("action_dim").integer(book.n_act() as u64);
    out.text("action_horizon").integer(hub.live.actions() as u64);
    out.text("observation_horizon").integer(served.policy.horizons().observation as u64);
    for (key, names) in given() {
        out.text(key).texts(names.iter().map(String::as_str));
    }
    match hub.inputs.cameras() {
        [] => {}
        [only] => size(out.text("image_size"), only.size),
        several => {
            out.text("image_sizes").map(several.len());
            several.iter().for_each(|camera| {
                size(out.text(camera.name.as_deref().unwrap_or("")), camera.size);
            });
        }
    }
    out.into_bytes()
}

/// Height and width.
fn size(out: &mut Writer, size: [usize; 2]) {
    out.list(2);
    size.iter().for_each(|side| {
        out.integer(*side as u64);
    });
}

/// A reply: `actions`, `[actions, n_act]`, and where they come from. Arrays have one row for each action, because the client's
/// `ActionChunkBroker` cuts every array of a reply along its first dimension.
pub(crate) fn reply(reply: &Reply, inference: Duration, before: Option<Duration>) -> Vec<u8> {
    let Reply { actions, n_act, constrained, served } = reply;
    let Constrained { retrieval, source, region, member_std, quantile, ood, stop, .. } = *constrained;
    let n = actions.len() / n_act;
    let optional = [("mcnn/quantile", quantile), ("mcnn/member_std", member_std)];
    let optional = || optional.iter().filter_map(|(key, value)| Some((*key, (*value)?)));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let mut out = Writer::default();
    out.map(10 + optional().count());
    out.text("actions").floats(actions, &[n, *n_act]);
    out.text("mcnn/distance").floats(&vec![retrieval.distance; n], &[n]);
    out.text("mcnn/weight").floats(&vec![region.weight; n], &[n]);
    out.text("mcnn/source").integers(&[source.episode.into(), source.step.into()].repeat(n), &[n, 2]);
    out.text("mcnn/memory").integers(&vec![retrieval.memory as i64; n], &[n]);
    out.text("mcnn/ood").truths(&vec![ood; n]);
    for (key, value) in optional() {
        out.text(key).floats(&vec![value; n], &[n]);
    }
    out.text("mcnn/stop").truths(&vec![stop; n]);
    out.text("mcnn/policy").text(&served.fingerprint);
    out.text("policy_timing").map(1).text("infer_ms").number(milliseconds(inference));
    out.text("server_timing").map(1 + usize::from(before.is_some()));
    out.text("infer_ms").number(milliseconds(inference));
    if let Some(before) = before {
        out.text("prev_total_ms").number(milliseconds(before));
    }
    out.into_bytes()
}
