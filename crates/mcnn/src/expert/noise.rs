//! Exploration noise on the actions of any actor, for more diverse demonstrations.

use std::str::FromStr;

use crate::{
    act::{Act, Acting, Decision, EmbeddedObservation},
    error::{Error, Kind, Result},
    seed::{Rng, Seed},
};

/// The exploration noise. Written `none`, `policy`, `gaussian:STD` or `correlated:STD` or `correlated:STD:KEPT`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Noise {
    /// None.
    None,
    /// The acting policy's own Gaussian, for a policy that has one.
    Policy,
    /// White: independent from step to step, of a standard deviation in units of the action.
    Gaussian(f64),
    /// A stationary autoregression: an AR(1) process with coefficient `kept` and standard
    /// deviation `std`. It moves the agent away instead of only shaking it.
    Correlated {
        /// Standard deviation, in units of the action.
        std: f64,
        /// Correlation of neighboring steps, in [0, 1).
        kept: f64,
    },
}

/// The default coefficient of `correlated:STD`.
const KEPT: f64 = 0.9;

impl FromStr for Noise {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let expected = || {
            "expected none, policy, gaussian:STD or correlated:STD[:KEPT], \
             with STD a number of 0 to 1 and KEPT one of 0 to below 1"
                .to_owned()
        };
        let number =
            |text: &str| text.parse::<f64>().ok().filter(|v| (0.0..=1.0).contains(v)).ok_or_else(expected);
        let mut parts = text.split(':');
        let noise = match (parts.next(), parts.next(), parts.next()) {
            (Some("none"), None, _) => Self::None,
            (Some("policy"), None, _) => Self::Policy,
            (Some("gaussian"), Some(std), None) => Self::Gaussian(number(std)?),
            (Some("correlated"), Some(std), None) => Self::Correlated { std: number(std)?, kept: KEPT },
            (Some("correlated"), Some(std), Some(kept)) => {
                let kept = number(kept)?;
                if kept == 1.0 {
                    return Err(expected());
                }
                Self::Correlated { std: number(std)?, kept }
            }
            _ => return Err(expected()),
        };
        if parts.next().is_some() { Err(expected()) } else { Ok(noise) }
    }
}

impl std::fmt::Display for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Policy => f.write_str("policy"),
            Self::Gaussian(std) => write!(f, "gaussian:{std}"),
            Self::Correlated { std, kept } => write!(f, "correlated:{std}:{kept}"),
        }
    }
}

/// An actor with noise on its actions, clipped to [-1, 1].
#[derive(Debug, Clone)]
pub struct Noisy<A> {
    act: A,
    std: Vec<f64>, // [n_act]
    kept: f64,
}

impl<A: Act> Noisy<A> {
    /// `own`: the standard deviations of the actor's own Gaussian (`[n_act]`), where it has one.
    ///
    /// # Errors
    /// If [`Noise::Policy`] is requested for an actor without a Gaussian of its own.
    pub fn new(act: A, noise: Noise, own: Option<&[f64]>) -> Result<Self> {
        if act.acts_in_data_units() && noise != Noise::None {
            return Err(Error::new(
                Kind::Settings,
                "this policy acts in the units of its data, and noise is in those of actions in [-1, 1]",
            )
            .expected("none")
            .found(noise.to_string()));
        }
        let n = act.n_act();
        let (std, kept) = match (noise, own) {
            (Noise::None, _) => (vec![0.0; n], 0.0),
            (Noise::Policy, Some(own)) => (own.to_vec(), 0.0),
            (Noise::Policy, None) => {
                return Err(Error::new(Kind::Settings, "this actor has no noise of its own")
                    .expected("none, gaussian:STD or correlated:STD")
                    .found("policy"));
            }
            (Noise::Gaussian(std), _) => (vec![std; n], 0.0),
            (Noise::Correlated { std, kept }, _) => (vec![std; n], kept),
        };
        Ok(Self { act, std, kept })
    }
}

impl<A: Act> Act for Noisy<A> {
    fn n_obs(&self) -> usize {
        self.act.n_obs()
    }

    fn n_act(&self) -> usize {
        self.act.n_act()
    }

    fn acts_in_data_units(&self) -> bool {
        self.act.acts_in_data_units()
    }

    fn start(&self, seed: Seed) -> Box<dyn Acting + '_> {
        let mut rng = seed.fork("noise").rng();
        Box::new(Shaken {
            noise: self.std.iter().map(|std| std * rng.normal()).collect(),
            inner: self.act.start(seed),
            intended: vec![0.0; self.std.len()],
            std: &self.std,
            kept: self.kept,
            limit: if self.act.acts_in_data_units() { f64::INFINITY } else { 1.0 },
            rng,
        })
    }
}

struct Shaken<'a> {
    inner: Box<dyn Acting + 'a>,
    std: &'a [f64],
    kept: f64,
    limit: f64, // of the size of an action
    rng: Rng,
    noise: Vec<f64>, // [n_act], for the next action
    intended: Vec<f32>,
}

impl Acting for Shaken<'_> {
    fn act(&mut self, observation: &[f32], action: &mut [f32]) -> Result<Decision> {
        let decision = self.inner.act(observation, action)?;
        self.intended.copy_from_slice(action);
        for ((a, noise), std) in action.iter_mut().zip(&mut self.noise).zip(self.std) {
            *a = (f64::from(*a) + *noise).clamp(-self.limit, self.limit) as f32;
            let fresh = std * self.rng.normal();
            *noise = self.kept * *noise + (1.0 - self.kept * self.kept).sqrt() * fresh;
        }
        Ok(decision)
    }

    fn intended(&self) -> Option<&[f32]> {
        Some(&self.intended)
    }

    fn embedded_observation(&self) -> Option<EmbeddedObservation<'_>> {
        self.inner.embedded_observation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acts with 0.5 and -0.5.
    struct Halves;

    impl Act for Halves {
        fn n_obs(&self) -> usize {
            1
        }
        fn n_act(&self) -> usize {
            2
        }
        fn start(&self, _: Seed) -> Box<dyn Acting + '_> {
            Box::new(Self)
        }
    }

    impl Acting for Halves {
        fn act(&mut self, _: &[f32], action: &mut [f32]) -> Result<Decision> {
            action.copy_from_slice(&[0.5, -0.5]);
            Ok(Decision { distance: Some(1.0), ..Decision::default() })
        }
    }

    fn acted(noise: Noise, own: Option<&[f64]>, n: usize) -> Vec<[f32; 2]> {
        let noisy = Noisy::new(Halves, noise, own).unwrap();
        let mut acting = noisy.start(Seed(3));
        (0..n)
            .map(|_| {
                let mut action = [0.0; 2];
                assert_eq!(acting.act(&[0.0], &mut action).unwrap().distance, Some(1.0));
                assert_eq!(acting.intended(), Some([0.5, -0.5].as_slice()));
                action
            })
            .collect()
    }

    /// Deviation of the first action number, and its correlation with the step before.
    fn moments(actions: &[[f32; 2]]) -> (f64, f64) {
        let noise: Vec<f64> = actions.iter().map(|a| f64::from(a[0]) - 0.5).collect();
        let n = noise.len() as f64;
        let var = noise.iter().map(|x| x * x).sum::<f64>() / n;
        let next = noise.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / (n - 1.0);
        (var.sqrt(), next / var)
    }

    #[test]
    fn noise_has_the_deviation_and_correlation_asked_for_from_the_first_step_on() {
        let (std, kept) = moments(&acted(Noise::Gaussian(0.1), None, 20_000));
        assert!((std - 0.1).abs() < 0.003 && kept.abs() < 0.03, "{std} {kept}");
        let (std, kept) = moments(&acted(Noise::Correlated { std: 0.1, kept: 0.8 }, None, 20_000));
        assert!((std - 0.1).abs() < 0.006 && (kept - 0.8).abs() < 0.02, "{std} {kept}");
        let firsts: Vec<f64> = (0..2000)
            .map(|seed| {
                let noisy = Noisy::new(Halves, Noise::Correlated { std: 0.1, kept: 0.8 }, None).unwrap();
                let mut action = [0.0; 2];
                noisy.start(Seed(seed)).act(&[0.0], &mut action).unwrap();
                f64::from(action[0]) - 0.5
            })
            .collect();
        let std = (firsts.iter().map(|x| x * x).sum::<f64>() / 2000.0).sqrt();
        assert!((std - 0.1).abs() < 0.006, "{std}");
        let own = acted(Noise::Policy, Some(&[0.2, 0.0]), 5000);
        assert!((moments(&own).0 - 0.2).abs() < 0.008 && own.iter().all(|a| a[1] == -0.5));
        assert!(acted(Noise::None, None, 3).iter().all(|a| *a == [0.5, -0.5]));
    }

    #[test]
    fn actions_stay_in_range_and_the_same_seed_is_the_same_noise() {
        let wild = acted(Noise::Gaussian(1.0), None, 1000);
        assert!(wild.iter().flatten().all(|a| a.abs() <= 1.0) && wild.iter().any(|a| a[0] == 1.0));
        assert_eq!(wild, acted(Noise::Gaussian(1.0), None, 1000));
        assert!(Noisy::new(Halves, Noise::Policy, None).is_err());
    }

    #[test]
    fn noise_is_read_as_it_is_written_and_nothing_else_is() {
        for text in ["none", "policy", "gaussian:0.1", "correlated:0.2:0.5"] {
            assert_eq!(text.parse::<Noise>().unwrap().to_string(), text);
        }
        assert_eq!("correlated:0.2".parse(), Ok(Noise::Correlated { std: 0.2, kept: KEPT }));
        for text in [
            "",
            "gaussian",
            "gaussian:x",
            "gaussian:-1",
            "gaussian:NaN",
            "policy:1",
            "correlated:1:1",
            "a:1:2:3",
        ] {
            assert!(text.parse::<Noise>().unwrap_err().contains("gaussian:STD"), "{text}");
        }
    }
}
