//! `mcnn inspect`: statistics of a file of demonstrations.

use mcnn::{Error, Result, error::Kind};

use super::{Done, names};
use crate::{args::InspectArgs, print};

pub fn run(args: &InspectArgs) -> Result<Done> {
    if args.options.episode_steps.is_some() {
        return Err(Error::new(Kind::Settings, "a recording is inspected as it is")
            .at("--episode-steps")
            .next("leave the option out; it is for learning and training"));
    }
    let mut inspection = mcnn::data::inspect(&args.data, &args.options.selection(&args.episodes))?;
    inspection.names = names(&args.names, [inspection.n_obs, inspection.n_act], &[&inspection.names])?;
    Ok(Done::new(&inspection, print::inspect(&args.data.display().to_string(), &inspection)))
}
