//! `mcnn inspect`.

use mcnn::{Result, data::Inspection};

use super::{Report, to_json};
use crate::{args::InspectArgs, print};

struct Inspected(String, Inspection);

impl Report for Inspected {
    fn json(&self) -> String {
        to_json(&self.1)
    }

    fn text(&self) -> String {
        print::inspection(&self.0, &self.1)
    }
}

pub fn run(args: &InspectArgs) -> Result<Box<dyn Report>> {
    Ok(Box::new(Inspected(args.data.display().to_string(), mcnn::data::inspect(&args.data)?)))
}
