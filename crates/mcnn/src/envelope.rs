//! The envelope: constrains the network's output to the permissible region around a memory's action (Memory-Consistent
//! Neural Networks, ICLR 2024, equation 3). It is a function of three inputs - the distance to the memory, the memory's
//! action and the network's output - and imports nothing. The exponential of the method appears in this file alone.
//!
//! ```text
//! weight  w = exp(-lambda d)          the weight of the memory
//! center  c = w a'                    the box center
//! radius  r = L (1 - w)               half the width of the box
//! action  f = c + r sigma(g)          mixing: sigma maps onto [-1, 1]
//!         f = clip(L sigma(g), c - r, c + r)          projection: c + r clamp((L sigma(g) - c) / r)
//! ```
//!
//! Both forms are members of the function class of the paper, so its box and its bound hold for both. Mixing moves every
//! action towards the memory's; projection changes only an action outside the box. Far from all memories both are L sigma(g).
//!
//! The action lies in the box in f32 arithmetic, for every input: |r sigma| <= r because |sigma| <= 1, and rounding is
//! monotonic, so `f` lies in [`c - r`, `c + r`] with both bounds computed in f32.

/// sigma, which maps the network's output onto [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// clamp(u, -1, 1): the limit of the authors' leaky clamp when its slope has been annealed to 0.
    Clamp,
    /// tanh(u).
    Tanh,
}

impl Activation {
    /// sigma(u) in [-1, 1]; 0 for NaN, so that NaN cannot leave the box.
    pub fn apply(self, u: f32) -> f32 {
        if u.is_nan() {
            return 0.0;
        }
        match self {
            Activation::Clamp => u.clamp(-1.0, 1.0),
            Activation::Tanh => u.tanh().clamp(-1.0, 1.0),
        }
    }
}

/// How the network's action is brought into the permissible region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The mean of the memory's action and the network's, with weights w and 1 - w: the form of the paper.
    #[default]
    Mix,
    /// The network's action, clipped into the box.
    Project,
}

/// The parameters of the function class: lambda, L, sigma and the form.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Envelope {
    /// lambda >= 0, per unit of standardized distance: how fast the memory weight decays. At 0 the policy is the nearest
    /// neighbor (1-NN); at infinity it is the network alone, even in a memory's own state.
    #[serde(with = "lambda_as_text")]
    pub lambda: f32,
    /// L > 0: the amplitude of the action far from all memories. 1 covers the range of actions, [-1, 1].
    pub amplitude: f32,
    /// sigma.
    pub activation: Activation,
    /// How the network's action is brought into the permissible region. Missing in older files, which mix.
    #[serde(default)]
    pub form: Form,
}

/// The permissible region at one distance: a box, with the same weight and radius in every dimension of the action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// w, the weight of the memory, in [0, 1].
    pub weight: f32,
    /// r = L (1 - w), half the width of the box, in [0, L].
    pub radius: f32,
}

impl Default for Envelope {
    /// The network alone, in [-1, 1].
    fn default() -> Self {
        Self { lambda: f32::INFINITY, amplitude: 1.0, activation: Activation::Clamp, form: Form::Mix }
    }
}

impl Envelope {
    /// Checks the ranges of lambda and L.
    ///
    /// # Errors
    /// If one is out of range: which, and its range.
    pub fn validate(&self) -> Result<(), &'static str> {
        if self.lambda.is_nan() || self.lambda < 0.0 {
            Err("lambda must be 0 or more, or inf")
        } else if !(self.amplitude > 0.0 && self.amplitude.is_finite()) {
            Err("the amplitude L must be a finite number above 0")
        } else {
            Ok(())
        }
    }

    /// The region at distance `d >= 0` (standardized units) from the nearest memory.
    pub fn region(&self, d: f32) -> Region {
        // lambda 0 and infinity are separate cases, because 0 * inf is NaN.
        let (weight, rest) = if self.lambda == 0.0 {
            (1.0, 0.0)
        } else if self.lambda == f32::INFINITY {
            (0.0, 1.0)
        } else {
            let x = -self.lambda * d;
            (x.exp(), -x.exp_m1()) // accurate where the weight is nearly 1
        };
        Region { weight, radius: self.amplitude * rest }
    }

    /// The action in the region, in a dimension in which the memory's action is `memory_action`, for `s` = sigma(g) in
    /// [-1, 1].
    pub fn constrain(&self, region: Region, memory_action: f32, s: f32) -> f32 {
        let c = region.center(memory_action);
        match self.form {
            Form::Mix => c + region.radius * s,
            Form::Project => (self.amplitude * s).clamp(c - region.radius, c + region.radius),
        }
    }

    /// The distance at which the memory weight is one half: ln 2 / lambda.
    pub fn half_distance(&self) -> f32 {
        std::f32::consts::LN_2 / self.lambda
    }

    /// The distance at which the radius is `radius >= 0`: -ln(1 - r / L) / lambda. Infinite if no distance has that radius
    /// (`radius >= L`, or lambda 0); 0 if lambda is infinite.
    pub fn distance_for_radius(&self, radius: f32) -> f32 {
        if radius >= self.amplitude || self.lambda == 0.0 {
            return f32::INFINITY;
        }
        -(-radius / self.amplitude).ln_1p() / self.lambda
    }

    /// The lambda at which the memory weight is `weight` (in (0, 1)) at distance `d > 0`.
    pub fn lambda_for(weight: f32, d: f32) -> f32 {
        -weight.ln() / d
    }
}

impl Region {
    /// c = w a', the box center in a dimension in which the memory's action is `memory_action`.
    pub fn center(&self, memory_action: f32) -> f32 {
        self.weight * memory_action
    }

    /// [c - r, c + r], the box in that dimension: the range of the action for every network output.
    pub fn bounds(&self, memory_action: f32) -> [f32; 2] {
        let c = self.center(memory_action);
        [c - self.radius, c + self.radius]
    }
}

/// JSON has no infinity: lambda is serialized as a number or as "inf".
mod lambda_as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(lambda: &f32, to: S) -> Result<S::Ok, S::Error> {
        if lambda.is_finite() { to.serialize_f32(*lambda) } else { to.serialize_str("inf") }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f32),
        Word(String),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
        match Written::deserialize(from)? {
            Written::Number(lambda) => Ok(lambda),
            Written::Word(word) if word == "inf" => Ok(f32::INFINITY),
            Written::Word(word) => {
                Err(D::Error::custom(format!("lambda must be a number or \"inf\", not {word:?}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that stress rounding: tiny, huge, ordinary and special ones.
    fn extreme_values() -> Vec<f32> {
        let mut all = vec![
            0.0,
            1e-45,
            1e-30,
            1e-7,
            0.1,
            0.5,
            1.0,
            1.0 + f32::EPSILON,
            3.0,
            88.0,
            104.0,
            1e9,
            f32::MAX,
            f32::INFINITY,
        ];
        all.extend((1..60).map(|i| (i as f32 * 0.37).sin().abs() * 10f32.powi(i % 7 - 3)));
        all
    }

    #[test]
    fn every_action_lies_in_its_box_and_within_the_stated_distance_of_the_memory() {
        let mut checked = 0;
        for lambda in extreme_values() {
            for amplitude in [0.1, 1.0, 2.5] {
                for (activation, form) in [Activation::Clamp, Activation::Tanh]
                    .into_iter()
                    .flat_map(|activation| [Form::Mix, Form::Project].map(|form| (activation, form)))
                {
                    let envelope = Envelope { lambda, amplitude, activation, form };
                    assert_eq!(envelope.validate(), Ok(()));
                    for d in extreme_values() {
                        let region = envelope.region(d);
                        assert!(
                            (0.0..=1.0).contains(&region.weight)
                                && (0.0..=amplitude).contains(&region.radius)
                        );
                        for memory_action in [-1.0, -0.3, 0.0, 0.77, 1.0] {
                            let [low, high] = region.bounds(memory_action);
                            let gap =
                                (1.0 - f64::from(region.weight)) * f64::from(amplitude + memory_action.abs());
                            for u in [
                                f32::NEG_INFINITY,
                                -1e30,
                                -1.0,
                                -0.2,
                                0.0,
                                0.9,
                                7.0,
                                f32::MAX,
                                f32::INFINITY,
                                f32::NAN,
                            ] {
                                let f = envelope.constrain(region, memory_action, activation.apply(u));
                                assert!(
                                    low <= f && f <= high,
                                    "{envelope:?} d {d} u {u}: {f} outside [{low}, {high}]"
                                );
                                // This bound is a product of rounded values: allow an error in the last places.
                                assert!(
                                    f64::from((f - memory_action).abs())
                                        <= gap + 4e-7 * f64::from(amplitude + 1.0)
                                );
                                checked += 1;
                            }
                        }
                    }
                }
            }
        }
        assert!(checked > 1_000_000);
    }

    #[test]
    fn in_a_memorys_state_the_action_is_the_memorys_to_the_bit() {
        for lambda in extreme_values().into_iter().filter(|l| l.is_finite()) {
            for form in [Form::Mix, Form::Project] {
                let envelope = Envelope { lambda, amplitude: 1.7, form, ..Envelope::default() };
                for memory_action in [-1.0, -0.123_456_79, 0.0, 1.0] {
                    let action = envelope.constrain(envelope.region(0.0), memory_action, 1.0);
                    assert_eq!(action, memory_action);
                }
            }
        }
    }

    #[test]
    fn the_limits_of_lambda_are_the_nearest_neighbor_and_the_network_alone() {
        for d in extreme_values() {
            for form in [Form::Mix, Form::Project] {
                let nearest = Envelope { lambda: 0.0, form, ..Envelope::default() };
                assert_eq!(nearest.constrain(nearest.region(d), 0.3, -1.0), 0.3);
                let network = Envelope { form, ..Envelope::default() };
                assert_eq!(network.constrain(network.region(d), 0.3, -0.9), -0.9);
            }
        }
    }

    #[test]
    fn projection_changes_only_actions_outside_the_box() {
        let envelope =
            Envelope { lambda: std::f32::consts::LN_2, form: Form::Project, ..Envelope::default() };
        let region = envelope.region(1.0); // weight 0.5: the box of a memory with action 0.8 is [-0.1, 0.9]
        for (s, expected) in [(-1.0, -0.1), (-0.05, -0.05), (0.3, 0.3), (0.9, 0.9), (1.0, 0.9)] {
            assert!((envelope.constrain(region, 0.8, s) - expected).abs() < 1e-6, "{s}");
        }
    }

    #[test]
    fn the_half_distance_halves_the_weight() {
        let envelope = Envelope { lambda: 2.5, ..Envelope::default() };
        assert!((envelope.region(envelope.half_distance()).weight - 0.5).abs() < 1e-6);
        assert!((Envelope::lambda_for(0.5, envelope.half_distance()) - 2.5).abs() < 1e-5);
    }

    #[test]
    fn the_distance_of_a_radius_has_that_radius() {
        for lambda in [1e-3, 0.7, 30.0] {
            for amplitude in [0.5, 1.0, 3.0] {
                let envelope = Envelope { lambda, amplitude, ..Envelope::default() };
                for share in [1e-6, 0.01, 0.5, 0.999] {
                    let there = envelope.region(envelope.distance_for_radius(share * amplitude)).radius;
                    assert!(
                        (there / (share * amplitude) - 1.0).abs() < 1e-4,
                        "{envelope:?} {share}: {there}"
                    );
                }
                assert_eq!(envelope.distance_for_radius(amplitude), f32::INFINITY);
            }
        }
        let at = |lambda| Envelope { lambda, ..Envelope::default() }.distance_for_radius(0.3);
        assert_eq!((at(0.0), at(f32::INFINITY)), (f32::INFINITY, 0.0));
    }

    #[test]
    fn parameters_out_of_range_are_refused_and_infinity_survives_json() {
        let good = Envelope { activation: Activation::Tanh, ..Envelope::default() };
        assert_eq!(serde_json::from_str::<Envelope>(&serde_json::to_string(&good).unwrap()).unwrap(), good);
        for lambda in [-1.0, f32::NAN, f32::NEG_INFINITY] {
            assert!(Envelope { lambda, ..good }.validate().is_err());
        }
        for amplitude in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            assert!(Envelope { amplitude, ..good }.validate().is_err());
        }
    }
}
