//! From demonstrations to an evaluated policy, in a few lines. Run it: `cargo run --release -p mcnn --example five_lines`.

use mcnn::{data, eval, file, memory, seed::Seed, task, train};

fn main() -> mcnn::Result<()> {
    let path = std::env::args_os().nth(1).map(std::path::PathBuf::from);
    let demonstrations = match &path {
        Some(path) => data::read(path, &data::ReadOptions::default())?,
        None => laps()?,
    };
    let steps = std::env::args().nth(2).and_then(|n| n.parse().ok()).unwrap_or(2000);

    let memories = memory::learn(&demonstrations, &memory::LearnSettings::default())?.codebook;
    let settings = train::TrainSettings { steps, ..Default::default() };
    let mut run = train::Run::new(&demonstrations, memories, settings)?;
    while run.step().is_some() {}
    let policy = run.policy();

    let drive = task::named("drive", &Default::default(), &|line| eprintln!("{line}"))?;
    let how =
        eval::Run { episodes: 20, first_seed: 1000, threads: 2, environments_per_worker: 1, trace: false };
    let episodes = eval::rollout(&policy, drive.as_ref(), &how, &|_| ())?;
    let fingerprint = file::fingerprint(&file::policy_to_bytes(&policy));
    let summary = eval::Summary::new(fingerprint, drive.spec(), &episodes, Seed(0));
    println!("{}", serde_json::to_string(&summary).expect("plain values"));
    Ok(())
}

/// Five laps of the built-in task by its scripted expert.
fn laps() -> mcnn::Result<data::Demonstrations> {
    let drive = task::drive::Drive::new();
    let how = eval::Run { episodes: 5, first_seed: 0, threads: 1, environments_per_worker: 1, trace: false };
    let laps = eval::collect(&task::drive::Expert, &drive, &how, &|_| true)?;
    let parts = data::Parts {
        n_obs: task::drive::N_OBS,
        n_act: task::drive::N_ACT,
        states: laps.states,
        actions: laps.actions,
        rewards: Some(laps.rewards),
        ends: laps.ends,
    };
    data::Demonstrations::new(parts, data::ActionRange::Refuse)
}
