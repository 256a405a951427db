//! `mcnn inspect`: statistics of a file of demonstrations.

use mcnn::Result;

use super::{Done, names};
use crate::{args::InspectArgs, print};

pub fn run(args: &InspectArgs) -> Result<Done> {
    let mut inspection = mcnn::data::inspect(&args.data, &args.options.selection(&args.episodes))?;
    inspection.names = names(&args.names, [inspection.n_obs, inspection.n_act], &[&inspection.names])?;
    Ok(Done::new(&inspection, print::inspect(&args.data.display().to_string(), &inspection)))
}
