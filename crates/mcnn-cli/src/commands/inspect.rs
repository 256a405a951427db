//! `mcnn inspect`.

use mcnn::Result;

use super::Done;
use crate::{args::InspectArgs, print};

pub fn run(args: &InspectArgs) -> Result<Done> {
    let inspection = mcnn::data::inspect(&args.data)?;
    Ok(Done::new(&inspection, print::inspection(&args.data.display().to_string(), &inspection)))
}
