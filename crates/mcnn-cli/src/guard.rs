//! A guard asked for on the command line, and what came of it.

use mcnn::{
    Error, Result,
    calibration::{OodCalibration, OodQuantile, Threshold},
    data::ReadOptions,
    error::Kind,
    eval::{Episode, Share},
    policy::{Guard, Policy, Response},
};
use serde::Serialize;

use crate::args::GuardArgs;

/// A guard, and why it is set where it is.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    pub guard: Guard,
    beyond: f64,
    of_episodes: bool,
    threshold: Threshold,
    calibrated: usize,
}

/// What a guard came to.
#[derive(Serialize)]
pub struct Watched {
    pub response: Response,
    /// The share asked for.
    pub beyond: f64,
    /// Of what: "states" or "episodes".
    pub of: &'static str,
    /// The distance beyond which it responds, and how often it would in new episodes like the calibrated ones.
    #[serde(flatten)]
    pub threshold: Threshold,
    /// Calibration episodes.
    pub calibrated: usize,
    /// Steps taken, and those of them beyond.
    pub steps: [usize; 2],
    /// Share of the episodes that were ever beyond.
    pub ever: Option<Share>,
    /// Median of the first step beyond, over those episodes.
    pub first: Option<f64>,
    /// Episodes that the guard ended.
    pub stopped: usize,
}

/// The guard asked for, if one was.
pub fn set(args: &GuardArgs, policy: Option<&Policy>) -> Result<Option<Set>> {
    let Some(response) = args.guard else { return Ok(None) };
    let error = |what: &str| Error::new(Kind::Settings, what).at("--guard");
    let Some(policy) = policy else {
        return Err(error("an expert has no memories to be far from").next("name a policy from `mcnn train`"));
    };
    let own;
    let calibration = match &args.calibrate {
        Some(path) => {
            let data = mcnn::data::read(path, &ReadOptions::default())?;
            if policy.codebook().check_data(&data).is_ok() {
                return Err(Error::new(Kind::Mismatch, "the memories were chosen from these very data")
                    .at(format!("--calibrate {}", path.display()))
                    .expected("other episodes, to which the memories are no nearer than to new ones")
                    .next(
                        "leave it out: the policy has a calibration that leaves one episode out at a time",
                    ));
            }
            own = OodCalibration::from_new_episodes(policy.codebook(), &data)
                .map_err(|e| e.within(path.display()))?;
            &own
        }
        None => policy.calibration().ok_or_else(|| {
            error("this policy has no calibration of its distances")
                .found("a file of before there was one, or memories of one episode alone")
                .next("train it again, or give other demonstrations with --calibrate")
        })?,
    };
    let (beyond, of_episodes) = (args.ood_quantile.unwrap_or(0.99), args.of.as_deref() == Some("episodes"));
    let threshold = calibration.threshold(if of_episodes {
        OodQuantile::Episodes(beyond)
    } else {
        OodQuantile::States(beyond)
    })?;
    Ok(Some(Set {
        guard: Guard { response, threshold: threshold.distance },
        beyond,
        of_episodes,
        threshold,
        calibrated: calibration.episodes().len(),
    }))
}

impl Set {
    /// What came of it in some episodes.
    pub fn watched(&self, episodes: &[Episode]) -> Watched {
        let whole = || episodes.iter().filter(|e| e.error.is_none());
        let firsts: Vec<f64> = whole().filter_map(|e| e.first_ood).map(|step| step as f64).collect();
        Watched {
            response: self.guard.response,
            beyond: self.beyond,
            of: if self.of_episodes { "episodes" } else { "states" },
            threshold: self.threshold,
            calibrated: self.calibrated,
            steps: [whole().map(|e| e.length).sum(), whole().map(|e| e.ood).sum()],
            ever: Share::new(whole().map(|e| e.first_ood.is_some())),
            first: (!firsts.is_empty()).then(|| mcnn::eval::stats::median(&firsts)),
            stopped: whole().filter(|e| e.stopped).count(),
        }
    }
}
