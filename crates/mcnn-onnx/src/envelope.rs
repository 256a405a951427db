//! The envelope in a graph, and the units of actions: the formulas of [`mcnn::envelope`] and [`mcnn::data::ActionUnits`].

use mcnn::{
    data::ActionUnits,
    envelope::{Activation, Envelope, Form},
};

use crate::graph::{Attribute, Graph, Value};

/// The permissible region of each observation, with axes of size 1 for those of the actions.
pub struct Region {
    /// `[batch]`.
    pub weight: Value,
    center_weight: Value, // [batch, 1] or [batch, 1, 1]
    radius: Value,        // likewise
    envelope: Envelope,
}

impl Region {
    /// The region at distances (`[batch]`), for actions with `axes` axes besides the batch.
    pub fn new(graph: &mut Graph, envelope: Envelope, distance: &Value, axes: usize) -> Self {
        let weight = weight(graph, envelope.lambda, distance);
        let mut center_weight = weight.clone();
        for axis in 1..=axes {
            let name = format!("envelope/weight.axis_{axis}");
            center_weight = graph.unsqueeze(&name, &center_weight, axis as i64);
        }
        let one = graph.scalar("envelope/one", 1.0);
        let amplitude = graph.scalar("envelope/amplitude", envelope.amplitude);
        let rest = graph.node("Sub", "envelope/network_weight", &[&one, &center_weight], &[]);
        let radius = graph.node("Mul", "envelope/radius", &[&amplitude, &rest], &[]);
        Self { weight, center_weight, radius, envelope }
    }

    /// The actions in the region, for memory actions and sigma(g) of the same shape.
    pub fn constrain(&self, graph: &mut Graph, name: &str, memory_action: &Value, s: &Value) -> Value {
        let part = |part: &str| format!("{name}.{part}");
        let center = graph.node("Mul", &part("center"), &[&self.center_weight, memory_action], &[]);
        if self.envelope.form == Form::Mix {
            let share = graph.node("Mul", &part("network_share"), &[&self.radius, s], &[]);
            return graph.node("Add", name, &[&center, &share], &[]);
        }
        let free = amplified(graph, &part("free"), self.envelope, s);
        let low = graph.node("Sub", &part("low"), &[&center, &self.radius], &[]);
        let high = graph.node("Add", &part("high"), &[&center, &self.radius], &[]);
        let above = graph.node("Max", &part("above_low"), &[&free, &low], &[]);
        graph.node("Min", name, &[&above, &high], &[])
    }
}

/// L sigma(g), which is what a network that is not constrained does.
pub fn amplified(graph: &mut Graph, name: &str, envelope: Envelope, s: &Value) -> Value {
    let amplitude = graph.scalar(&format!("{name}.amplitude"), envelope.amplitude);
    graph.node("Mul", name, &[&amplitude, s], &[])
}

/// exp(-lambda d).
fn weight(graph: &mut Graph, lambda: f32, distance: &Value) -> Value {
    if lambda == 0.0 || lambda == f32::INFINITY {
        // 0 * infinity is not a number.
        let value = if lambda == 0.0 { 1.0 } else { 0.0 };
        let value = graph.constant("envelope/constant_weight", &[1], &[value]);
        let shape = graph.node("Shape", "envelope/batch", &[distance], &[]);
        return graph.node("Expand", "envelope/weight", &[&value, &shape], &[]);
    }
    let lambda = graph.scalar("envelope/minus_lambda", -lambda);
    let exponent = graph.node("Mul", "envelope/exponent", &[&lambda, distance], &[]);
    graph.node("Exp", "envelope/weight", &[&exponent], &[])
}

/// sigma(g), in [-1, 1]; 0 for NaN.
pub fn sigma(graph: &mut Graph, name: &str, activation: Activation, g: &Value) -> Value {
    let part = |part: &str| format!("{name}.{part}");
    let activated = match activation {
        Activation::Clamp => graph.clamp(&part("clamp"), g),
        Activation::Tanh => {
            let activated = graph.node("Tanh", &part("tanh"), &[g], &[]);
            graph.clamp(&part("clamp"), &activated)
        }
    };
    let is_nan = graph.node("IsNaN", &part("is_nan"), &[g], &[]);
    let zero = graph.scalar(&part("zero"), 0.0);
    graph.node("Where", name, &[&is_nan, &zero, &activated], &[])
}

/// Actions in the data's units. `observation`: the newest one, `[batch, n_obs]`, in the data's units; actions that are relative to it are
/// `[batch, n_act]`.
pub fn to_data(graph: &mut Graph, units: &ActionUnits, action: &Value, observation: &Value) -> Value {
    if units.is_identity() {
        return action.clone();
    }
    let [center, half] = units.scales();
    let center = graph.constant("units/center", &[center.len()], center);
    let half = graph.constant("units/half_range", &[half.len()], half);
    let scaled = graph.node("Mul", "units/scaled", &[&half, action], &[]);
    let absolute = graph.node("Add", "units/action", &[&center, &scaled], &[]);
    let relative = units.relative_to();
    if relative.is_empty() {
        return absolute;
    }
    let from: Vec<i64> = relative.iter().map(|k| k.unwrap_or(0) as i64).collect();
    let from = graph.integers("units/relative_to", &from);
    let attributes = [Attribute::Int("axis", 1)];
    let base = graph.node("Gather", "units/values_of_state", &[observation, &from], &attributes);
    let is_relative: Vec<f32> = relative.iter().map(|k| if k.is_some() { 1.0 } else { 0.0 }).collect();
    let is_relative = graph.constant("units/is_relative", &[is_relative.len()], &is_relative);
    let base = graph.node("Mul", "units/base", &[&base, &is_relative], &[]);
    let action = graph.node("Add", "units/action_at_state", &[&base, &absolute], &[]);
    to_turn(graph, units, action)
}

/// Actions relative to angles, brought to the turn of recorded actions: v - P floor((v - c) / P + 1/2), where P is a full turn.
fn to_turn(graph: &mut Graph, units: &ActionUnits, action: Value) -> Value {
    let centers = units.turn_centers();
    if centers.is_empty() {
        return action;
    }
    let n_act = centers.len();
    let periods: Vec<f32> = (0..n_act).map(|k| units.period(k).unwrap_or(0.0) as f32).collect();
    let inverse: Vec<f32> = periods.iter().map(|p| if *p > 0.0 { p.recip() } else { 0.0 }).collect();
    let centers = graph.constant("units/turn_centers", &[n_act], centers);
    let periods = graph.constant("units/full_turns", &[n_act], &periods);
    let inverse = graph.constant("units/turns_of_one", &[n_act], &inverse);
    let half = graph.scalar("units/half_turn", 0.5);
    let from_center = graph.node("Sub", "units/from_turn_center", &[&action, &centers], &[]);
    let turns = graph.node("Mul", "units/turns", &[&from_center, &inverse], &[]);
    let turns = graph.node("Add", "units/turns_and_half", &[&turns, &half], &[]);
    let whole = graph.node("Floor", "units/whole_turns", &[&turns], &[]);
    let by = graph.node("Mul", "units/turned_by", &[&whole, &periods], &[]);
    graph.node("Sub", "units/action_on_turn", &[&action, &by], &[])
}
