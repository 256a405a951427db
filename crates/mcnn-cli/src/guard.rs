//! The OOD guard of `mcnn eval --guard`, and its report.

use std::path::Path;

use mcnn::{
    Error, Result,
    calibration::{LeftOut, OodCalibration, OodQuantile, Threshold},
    error::Kind,
    eval::{Episode, Share},
    policy::{Guard, Policy, Response},
};
use serde::Serialize;

use crate::{
    args::{EpisodeArgs, GuardArgs, InputOptions},
    commands::{Keep, read_episodes_for},
    say::say,
};

/// A guard, and the calibration of its threshold.
#[derive(Debug, Clone, Copy)]
pub struct CalibratedGuard {
    pub guard: Guard,
    quantile: f64,
    of_episodes: bool,
    threshold: Threshold,
    calibration_episodes: usize,
    calibration_left_out: usize,
}

/// What a guard did in some episodes.
#[derive(Serialize)]
pub struct GuardReport {
    pub response: Response,
    /// The quantile of the calibration distances at which the threshold is.
    pub ood_quantile: f64,
    /// Samples of the quantile: "states", or "episodes" (the largest distance of each).
    pub ood_quantile_of: &'static str,
    /// The threshold distance above which a state is OOD, and the chance that a new episode (or a state of it) exceeds it.
    #[serde(flatten)]
    pub threshold: Threshold,
    pub calibration_episodes: usize,
    /// Episodes of `--calibration-data` that do not count: they coincide with episodes of the memories, or with earlier ones.
    pub calibration_left_out: usize,
    /// Steps taken.
    pub steps: usize,
    /// Steps in OOD states.
    pub ood_steps: usize,
    /// Share of the episodes with at least one OOD step.
    pub ood_episodes: Option<Share>,
    /// Median of the first OOD step, over those episodes.
    pub first_ood_step: Option<f64>,
    /// Episodes that the guard ended.
    pub stopped_episodes: usize,
}

/// The guard that the options ask for; `None` without `--guard`.
///
/// # Errors
/// If the actor has no memories, if there is no calibration, or if all episodes of the calibration data are those of the memories.
pub fn calibrated(args: &GuardArgs, policy: Option<&Policy>) -> Result<Option<CalibratedGuard>> {
    let Some(response) = args.guard else { return Ok(None) };
    let error = |what: &str| Error::new(Kind::Settings, what).at("--guard");
    let Some(policy) = policy else {
        return Err(error("an expert's network has no memories, so its states have no distance")
            .next("name a policy from `mcnn train`"));
    };
    let own;
    let mut left_out = LeftOut::default();
    let calibration = match &args.calibration_data {
        Some(path) => {
            let (options, episodes) = (InputOptions::default(), EpisodeArgs::default());
            let paths = std::slice::from_ref(path);
            let data = read_episodes_for(paths, &options, &episodes, policy.codebook(), Keep::InFile)?;
            let found = OodCalibration::from_new_episodes(policy.codebook(), &data)
                .map_err(|e| e.within(format!("--calibration-data {}", path.display())))?;
            (own, left_out) = found;
            say_left_out(path, &left_out, own.episodes().len());
            &own
        }
        None => policy.calibration().ok_or_else(|| {
            error("the policy has no OOD calibration")
                .found("a file of an earlier version, or memories of a single episode")
                .next("train the policy again, or give other demonstrations with --calibration-data")
        })?,
    };
    let (quantile, of_episodes) =
        (args.ood_quantile.unwrap_or(0.99), args.ood_quantile_of.as_deref() == Some("episodes"));
    let threshold = calibration.threshold(if of_episodes {
        OodQuantile::Episodes(quantile)
    } else {
        OodQuantile::States(quantile)
    })?;
    Ok(Some(CalibratedGuard {
        guard: Guard { response, threshold: threshold.distance },
        quantile,
        of_episodes,
        threshold,
        calibration_episodes: calibration.episodes().len(),
        calibration_left_out: left_out.known.len() + left_out.repeated.len(),
    }))
}

/// Says on stderr which episodes of the calibration data do not count, and how many are left.
fn say_left_out(path: &Path, left_out: &LeftOut, left: usize) {
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    for (numbers, why) in [
        (&left_out.known, "coincide with episodes that the memories were chosen from"),
        (&left_out.repeated, "repeat an earlier one"),
    ] {
        if !numbers.is_empty() {
            say(format!(
                "{}: {} episodes {why} and are left out of the calibration ({}); {left} are left",
                path.display(),
                numbers.len(),
                list(numbers)
            ));
        }
    }
}

impl CalibratedGuard {
    /// What the guard did in some episodes; failed ones are left out.
    pub fn report(&self, episodes: &[Episode]) -> GuardReport {
        let whole = || episodes.iter().filter(|e| e.error.is_none());
        let firsts: Vec<f64> = whole().filter_map(|e| e.first_ood).map(|step| step as f64).collect();
        GuardReport {
            response: self.guard.response,
            ood_quantile: self.quantile,
            ood_quantile_of: if self.of_episodes { "episodes" } else { "states" },
            threshold: self.threshold,
            calibration_episodes: self.calibration_episodes,
            calibration_left_out: self.calibration_left_out,
            steps: whole().map(|e| e.length).sum(),
            ood_steps: whole().map(|e| e.ood).sum(),
            ood_episodes: Share::new(whole().map(|e| e.first_ood.is_some())),
            first_ood_step: (!firsts.is_empty()).then(|| mcnn::eval::stats::median(&firsts)),
            stopped_episodes: whole().filter(|e| e.stopped).count(),
        }
    }
}
