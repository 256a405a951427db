//! The bound of theorem 4.7.

use crate::{
    envelope::Envelope,
    error::{Error, Kind, Result},
};

/// What is put into the theorem besides a distance: J(expert) - J(policy) <= min{H, H^2 |A| L (1 - exp(-lambda d_I))},
/// for rewards in [0, 1] and an expert in the policy's own function class.
///
/// |A| is the number of actions of a finite set. For an action of several continuous numbers there is no such number;
/// what stands in for it is the caller's to say. The dimensions of the action are the smallest reading: the deviation
/// L (1 - exp(-lambda d)) is one of each number of the output, and the theorem adds them up. It stays a reading: two
/// continuous actions that differ at all are two different actions, and only where small differences of an action make
/// small differences of what follows does a sum of deviations bound anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    envelope: Envelope,
    horizon: f64,
    actions: f64,
}

impl Bound {
    /// Puts a bound together.
    ///
    /// # Errors
    /// If the envelope's knobs are out of range, or the horizon or the number of actions is 0.
    pub fn new(envelope: Envelope, horizon: u64, actions: u64) -> Result<Self> {
        if let Some(fault) = envelope.fault() {
            return Err(Error::new(Kind::Settings, fault)
                .at("--lambda, --amplitude")
                .found(format!("lambda {}, L {}", envelope.lambda, envelope.amplitude)));
        }
        for (option, value) in [("--horizon", horizon), ("--actions", actions)] {
            if value == 0 {
                return Err(Error::new(Kind::Settings, "a setting out of range")
                    .at(option)
                    .expected("1 or more")
                    .found("0"));
            }
        }
        Ok(Self { envelope, horizon: horizon as f64, actions: actions as f64 })
    }

    /// The bound for states at distances up to `d` (standardized units): in [0, H].
    pub fn at(&self, d: f32) -> f64 {
        self.raw(d).min(self.horizon)
    }

    /// Whether it says nothing at that distance: rewards in [0, 1] give no policy more than H.
    pub fn is_vacuous(&self, d: f32) -> bool {
        self.raw(d) >= self.horizon
    }

    /// The distance below which the bound is informative: infinite where it is everywhere (lambda 0, where it is 0),
    /// 0 where it is nowhere (lambda infinite).
    pub fn informative_below(&self) -> f32 {
        let most = (1.0 / (self.horizon * self.actions)) as f32;
        self.envelope.distance_at(most)
    }

    /// The width of the permissible region in each dimension of the action, at distances up to `d`: 2 L (1 - exp(-lambda d)).
    /// It holds for every state at such a distance, whatever the network proposes, and supposes nothing of the expert.
    pub fn width(&self, d: f32) -> f32 {
        2.0 * self.envelope.region(d).radius
    }

    fn raw(&self, d: f32) -> f64 {
        self.horizon * self.horizon * self.actions * f64::from(self.envelope.region(d).radius)
    }
}
