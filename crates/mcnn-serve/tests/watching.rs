//! Replacing the policy under connected clients.

use std::{fs, path::Path, sync::Arc};

use mcnn::{data::Step, file, policy::Policy};
use mcnn_serve::{Served, Watched};

use crate::common::{ACT, Client, OBS, Options, Server, mlp, mlp_named, mlp_of, served, unet};

fn load(path: &Path) -> mcnn::Result<Served> {
    let (policy, fingerprint) = file::read_policy(path)?;
    Ok(Served { policy: Arc::new(policy), fingerprint, guard: None, encoder: None })
}

fn action(policy: &Policy, state: &[f32]) -> [f32; ACT] {
    let mut action = [0.0; ACT];
    policy.session().act(state, &mut action).unwrap();
    action
}

/// The same policy without the memories of its first episode.
fn edited(policy: &Policy) -> Policy {
    let book = policy.codebook();
    let kept = book.without_memories(|m| matches!(book.source(m), Step { episode: 0, .. })).unwrap();
    policy.clone().with_codebook(kept).unwrap()
}

#[test]
fn an_edited_file_acts_from_the_next_action_on_and_a_broken_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.safetensors");
    let (old, state) = (mlp(3), [0.3; OBS]);
    let (new, other) = (edited(&old), mlp(4));
    let [a, b, c] = [&old, &new, &other].map(|policy| action(policy, &state));
    assert!(a != b && b != c);
    file::write_policy(&path, &old).unwrap();
    let watched = {
        let path = path.clone();
        Watched { path: path.clone(), load: Box::new(move || load(&path)) }
    };
    let server =
        Server::start(load(&path).unwrap(), Options { watched: Some(watched), ..Options::default() });
    let mut client = Client::connect(&server);
    assert_eq!(client.actions(&state), a);

    file::write_policy(&path, &new).unwrap();
    server.wait_for("now 35 memories");
    assert_eq!(client.actions(&state), b, "the connection goes on");

    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let line = server.wait_for("cannot be used");
    assert!(line.contains("stays in use"), "{line}");
    assert_eq!(client.actions(&state), b);

    fs::remove_file(&path).unwrap();
    server.wait_for("has vanished");
    assert_eq!(client.actions(&state), b);

    file::write_policy(&path, &mlp_of(OBS - 1, 3)).unwrap();
    server.wait_for("3 observed values");
    assert_eq!(client.actions(&state), b, "a policy of other dimensions does not fit");

    file::write_policy(&path, &other).unwrap();
    server.wait_for("sessions start anew");
    assert_eq!(client.actions(&state), c);
    let report = server.end();
    assert_eq!((report.swaps, report.failed_swaps, report.sessions), (2, 2, 1));
    assert_eq!(report.errors, 0);
}

#[test]
fn sessions_keep_their_history_if_the_networks_are_the_same() {
    let live = mcnn_serve::Live::new(served(mlp(3), None), None).unwrap();
    let small = mlp(3).with_first_members(1).unwrap();
    assert!(live.replace(served(small, None)).unwrap(), "the same networks");
    assert!(!live.replace(served(mlp(4), None)).unwrap(), "other networks");
    let chunks = mcnn_serve::Live::new(served(unet(), None), None).unwrap();
    assert!(chunks.replace(served(mlp(3), None)).unwrap_err().to_string().contains("4 actions at once"));
    let single = mcnn_serve::Live::new(served(unet(), None), Some(1)).unwrap();
    assert!(!single.replace(served(mlp(3), None)).unwrap(), "one action is what both have");
}

#[test]
fn a_policy_of_other_keys_or_names_does_not_fit_and_the_difference_is_named() {
    let (names, others) = (["a", "b", "c", "d"], ["a", "b", "c", "e"]);
    let of = |keys: &[&str], names| served(mlp_named(keys, names), None);
    let live = mcnn_serve::Live::new(of(&["joints"], &names), None).unwrap();
    assert!(live.replace(of(&["joints"], &names)).unwrap());
    let keys = live.replace(of(&["joints", "gripper"], &names)).unwrap_err().to_string();
    assert!(keys.contains("expected: state keys joints\n  found: state keys joints, gripper\n"), "{keys}");
    let renamed = live.replace(of(&["joints"], &others)).unwrap_err().to_string();
    assert!(renamed.contains("found: names of the state's dimensions a, b, c, e\n"), "{renamed}");
}
