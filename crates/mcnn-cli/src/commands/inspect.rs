//! `mcnn inspect`: statistics of a file of demonstrations.

use mcnn::{Error, Result, error::Kind};

use super::{Done, listed, names};
use crate::{args::InspectArgs, print};

pub fn run(args: &InspectArgs) -> Result<Done> {
    if args.input.options.episode_steps.is_some() {
        return Err(Error::new(Kind::Settings, "a recording is inspected as it is")
            .at("--episode-steps")
            .next("leave the option out; it is for learning and training"));
    }
    let selection = args.input.options.selection(&args.episodes);
    let mut inspection = mcnn::data::inspect_all(&args.input.data, &selection)?;
    inspection.names = names(&args.names, [inspection.n_obs, inspection.n_act], &[&inspection.names])?;
    Ok(Done::new(&inspection, print::inspect(&listed(&args.input.data), &inspection)))
}
