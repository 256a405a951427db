//! Choosing arrays and episodes of the data.

use mcnn::data::{ReadOptions, Selection, read};

use crate::common::Bench;

/// Two episodes of three steps: `a` (3 columns), `b` (a vector) and `infos/q` (2 columns), in both formats.
const WRITE: &str = "
import h5py, numpy
a = numpy.arange(18, dtype='f4').reshape(6, 3)
b = 100 + numpy.arange(6, dtype='f4')
q = 200 + numpy.arange(12, dtype='f8').reshape(6, 2)
act = numpy.linspace(-1, 1, 12, dtype='f4').reshape(6, 2)
timeouts = numpy.array([0, 0, 1, 0, 0, 1], dtype=bool)
with h5py.File('d.hdf5', 'w') as f:
    f.update({'observations': a, 'b': b, 'infos/q': q, 'actions': act, 'timeouts': timeouts})
numpy.savez('d.npz', states=a, b=b, q=q, actions=act, episode_ends=[3, 6])
";

#[test]
fn states_are_made_of_the_named_keys_and_their_dimensions() {
    let Some(bench) = Bench::with_python("states_are_made_of_the_named_keys", WRITE) else { return };
    for (file, state) in [("d.hdf5", "observations:1-2,b,infos/q:1"), ("d.npz", "states:1-2,b,q:1")] {
        let selection = Selection {
            state: state.split(',').map(|key| key.parse().unwrap()).collect(),
            action: vec!["actions:1".parse().unwrap()],
            episodes: vec![1..=1],
            ..Selection::default()
        };
        let data = read(&bench.path(file), &ReadOptions { selection, ..ReadOptions::default() }).unwrap();
        assert_eq!((data.n_obs(), data.n_act(), data.n_steps()), (4, 1, 3));
        assert_eq!(data.state(0)[..], [10.0, 11.0, 103.0, 207.0]);
        assert!((data.action(2)[0] - 1.0).abs() < 1e-6);
        assert_eq!(data.number(0), 1);
        let names = data.names().state_names.as_ref().unwrap();
        assert!(names[0].ends_with(":1") && names[2] == "b:0" && names[3].ends_with("q:1"), "{names:?}");
        let found = bench.json(&format!("inspect {file} --state {state} --episodes 1"));
        assert_eq!((&found["n_obs"], &found["episodes"]), (&4.into(), &1.into()));
        let used: Vec<&str> = (found["keys"].as_array().unwrap().iter())
            .filter(|key| key["used_as"] == "state")
            .map(|key| key["name"].as_str().unwrap())
            .collect();
        assert_eq!(used.len(), 3, "{used:?}");
        for (wrong, says) in [
            ("--state obs", "expected: a key of the data"),
            ("--state b:1", "dimensions 0 to 0"),
            ("--episodes 2", "2 episodes, from 0 to 1"),
            ("--task lift", "no texts of tasks"),
            ("--filter-key train", "no filter keys"),
        ] {
            let message = bench.refused(&format!("inspect {file} {wrong}"));
            assert!(message.contains(says), "{wrong}: {message}");
        }
    }
}
