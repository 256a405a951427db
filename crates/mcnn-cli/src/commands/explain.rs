//! `mcnn explain`.

use mcnn::{
    Error, Result,
    data::{DimensionNames, Step},
    error::Kind,
    file,
    policy::Explanation,
};
use serde::Serialize;

use super::{Done, names, recordings::read_as_learned};
use crate::{args::ExplainArgs, print};

/// The explanation of a policy's action in one state.
#[derive(Serialize)]
pub struct ExplainReport {
    /// The episode and step of the state in the data.
    pub at: Step,
    /// The policy's method, as the literature names it, and its main settings.
    pub name: String,
    /// Distance at which the memory weight is 0.5; null if lambda is 0.
    pub half_distance: Option<f32>,
    /// Names of the dimensions, where there are any.
    #[serde(flatten)]
    pub names: DimensionNames,
    #[serde(flatten)]
    pub explanation: Explanation,
    /// The state, in the data's own units.
    pub state: Vec<f32>,
    /// The nearest memory's state, in the data's own units.
    pub memory_state: Vec<f32>,
    /// The action demonstrated in this state.
    pub demonstrated_action: Vec<f32>,
    /// Whether the state is a memory itself.
    pub is_memory: bool,
}

pub fn run(args: &ExplainArgs) -> Result<Done> {
    let policy = args.knobs.apply(file::read_policy(&args.policy)?.0)?;
    let data = read_as_learned(&args.data, &args.options, policy.codebook())?;
    let codebook = policy.codebook();
    codebook.check_space(&data).map_err(|e| e.within(args.data.display()))?;
    let widths = [codebook.n_obs(), codebook.n_act()];
    let names = names(&args.names, widths, &[&codebook.parts().names, data.names()])?;
    let Some(i) = data.find(args.at) else {
        let episode = args.at.episode as usize;
        let expected = if episode < data.n_episodes() {
            format!("a step of 0 to {} in episode {episode}", data.episode(episode).len() - 1)
        } else {
            format!("an episode of 0 to {}", data.n_episodes() - 1)
        };
        return Err(Error::new(Kind::Settings, "there is no such step")
            .at(format!("--at {}", args.at))
            .expected(expected));
    };
    let explanation = policy.explain(&data.states_of(data.episode(data.episode_of(i)).start..i + 1))?;
    let report = ExplainReport {
        at: args.at,
        name: policy.name(),
        half_distance: Some(policy.envelope().half_distance()).filter(|d| d.is_finite()),
        names,
        state: data.state(i).to_vec(),
        memory_state: codebook.state(explanation.memory.memory).to_vec(),
        demonstrated_action: data.action_in_data_units(i),
        is_memory: explanation.memory.distance == 0.0,
        explanation,
    };
    Ok(Done::new(&report, print::explain(&report)))
}
