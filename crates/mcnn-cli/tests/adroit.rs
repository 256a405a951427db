//! The verbs on real demonstrations, in the real simulators. Needs the demonstrations beside the checkout, and a
//! Python with the simulators (MCNN_PYTHON, which test.sh sets).

mod adroit_in_process;
mod common;
use common::Bench;

#[test]
fn from_people_opening_doors_to_an_evaluated_and_explained_policy() {
    let name = "from_people_opening_doors_to_an_evaluated_and_explained_policy";
    let Some(shared) = common::shared(name) else { return };
    if std::env::var_os("MCNN_PYTHON").is_none() {
        common::skipped(name, "MCNN_PYTHON names no Python with the simulators");
        return;
    }
    let bench = Bench::new();
    let door = shared.join("door-human-v1.hdf5").display().to_string();
    let learned = bench.json(&format!("learn {door} --fraction 0.1 -o m.safetensors"));
    assert_eq!((learned["memories"].as_u64(), learned["states"].as_u64()), (Some(673), Some(6729)));
    let trained = bench.json(&format!("train {door} m.safetensors -o p.safetensors --hidden 32 --steps 300"));
    assert!(trained["validation"]["states"].as_u64().unwrap() > 500);
    let evaluated = bench.json("eval p.safetensors --task door --episodes 3 --seed 1000");
    assert_eq!((evaluated["episodes"].as_u64(), evaluated["failed"].as_u64()), (Some(3), Some(0)));
    // D4RL's references for door: a policy that does nothing useful scores about 0.
    let (score, mean) =
        (evaluated["score"]["mean"].as_f64().unwrap(), evaluated["return"]["mean"].as_f64().unwrap());
    assert!((score - 100.0 * (mean + 56.512833) / (2880.569309 + 56.512833)).abs() < 1e-3);
    let again = bench.json("eval p.safetensors --task door --episodes 3 --seed 1000 --threads 1");
    assert_eq!(evaluated["return"], again["return"], "one worker or two, the episodes are the same");
    let output = bench.run("eval p.safetensors --task door --episodes 1");
    let said = String::from_utf8_lossy(&output.stderr).contains("--features adroit");
    assert_eq!(said, cfg!(not(feature = "adroit")), "a task that runs in Python says how to build it in");
    bench.ok(&format!("explain p.safetensors --data {door} --at 3:120"));
    let message = bench.refused("eval p.safetensors --task pen --episodes 1");
    assert!(message.contains("39") && message.contains("45"), "{message}");
    let message = bench.refused("eval p.safetensors --task gym:NoSuchThing-v9 --episodes 1");
    assert!(message.contains("NoSuchThing"), "{message}");
}
