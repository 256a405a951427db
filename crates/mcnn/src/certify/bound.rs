//! The bound of theorem 4.7 of the paper.

use crate::{
    envelope::Envelope,
    error::{Error, Kind, Result},
};

/// J(expert) - J(policy) <= min{H, H^2 |A| L (1 - exp(-lambda d_I))}, as a function of the distance d_I. It holds for
/// rewards in [0, 1] and an expert in the policy's own function class. H is the horizon of an episode.
///
/// |A| is the number of actions of a finite action set. A continuous action space has no such number, so the caller
/// chooses one. The number of action dimensions is the smallest plausible choice: L (1 - exp(-lambda d)) bounds the
/// deviation in each dimension, and the theorem sums them. It remains an interpretation, because two continuous actions
/// that differ slightly count as two different actions in the theorem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    envelope: Envelope,
    horizon: f64,
    actions: f64,
}

impl Bound {
    /// A bound for episodes of `horizon` steps and `actions` = |A|.
    ///
    /// # Errors
    /// If lambda or L is out of range, or the horizon or the number of actions is 0.
    pub fn new(envelope: Envelope, horizon: u64, actions: u64) -> Result<Self> {
        if let Err(fault) = envelope.validate() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("lambda {}, L {}", envelope.lambda, envelope.amplitude)));
        }
        for (option, value) in [("--horizon", horizon), ("--action-count", actions)] {
            if value == 0 {
                return Err(Error::new(Kind::Settings, "a setting out of range")
                    .at(option)
                    .expected("1 or more")
                    .found("0"));
            }
        }
        Ok(Self { envelope, horizon: horizon as f64, actions: actions as f64 })
    }

    /// The bound for states at distances up to `d` (standardized units), in [0, H].
    pub fn at(&self, d: f32) -> f64 {
        self.unclipped(d).min(self.horizon)
    }

    /// Whether the bound is trivial at that distance: with rewards in [0, 1] no return exceeds H.
    pub fn is_vacuous(&self, d: f32) -> bool {
        self.unclipped(d) >= self.horizon
    }

    /// The distance below which the bound is not trivial: infinite for lambda 0, whose bound is 0 everywhere; 0 for infinite
    /// lambda, whose bound is trivial everywhere.
    pub fn informative_below(&self) -> f32 {
        let radius = (1.0 / (self.horizon * self.actions)) as f32;
        self.envelope.distance_for_radius(radius)
    }

    /// The width of the permissible region in each dimension of the action, at distances up to `d`: 2 L (1 - exp(-lambda d)).
    /// It holds for every state at such a distance and every network, and makes no assumption about the expert.
    pub fn width(&self, d: f32) -> f32 {
        2.0 * self.envelope.region(d).radius
    }

    fn unclipped(&self, d: f32) -> f64 {
        self.horizon * self.horizon * self.actions * f64::from(self.envelope.region(d).radius)
    }
}
