//! One denoising step of a network that denoises: from the noisy actions x_t to x_{t-1}, and the clean actions.

use mcnn::{
    backbone::{Diffusion, Horizons, Level, PredictionType, ResMlp, Unet, sinusoids},
    policy::Policy,
};

use super::{diffusion, mean, resmlp, unet};
use crate::{
    envelope::sigma,
    graph::{Axis, Graph, Value},
    proto::DataType,
};

/// The settings of denoising that a graph needs.
pub struct Denoising {
    prediction: PredictionType,
    levels: Vec<Level>, // of acting, the least noisy first
    /// Width of the sinusoids that the step is embedded in.
    waves: usize,
    /// Whether the network predicts a chunk: its arrays then have an axis of steps.
    pub is_chunk: bool,
    pub horizons: Horizons,
}

impl Denoising {
    /// Those of a policy's networks.
    ///
    /// # Panics
    /// If they do not denoise.
    pub fn of(policy: &Policy) -> Self {
        let network = policy.backbone().expect("a network");
        let horizons = policy.horizons();
        if let Some(diffusion) = network.downcast::<Diffusion>() {
            let settings = diffusion.settings();
            return Self {
                prediction: settings.prediction,
                levels: settings.schedule.levels(settings.steps, settings.sampler),
                waves: diffusion.layers()[0].ends()[0],
                is_chunk: false,
                horizons,
            };
        }
        // Of a chunk: the settings have the same names, but are of two types.
        let (prediction, levels, waves) = if let Some(network) = network.downcast::<ResMlp>() {
            let settings = network.settings();
            let levels = settings.schedule.spaced(settings.steps, settings.sample_steps, settings.sampler);
            (settings.prediction, levels, network.n_sinusoids())
        } else {
            let unet = network.downcast::<Unet>().expect("a network that denoises");
            let settings = unet.settings();
            let levels = settings.schedule.spaced(settings.steps, settings.sample_steps, settings.sampler);
            (settings.prediction, levels, unet.channels()[0])
        };
        Self { prediction, levels, waves, is_chunk: true, horizons }
    }

    /// Denoising steps of a prediction.
    pub fn steps(&self) -> usize {
        self.levels.len()
    }

    /// The shape of an action or a chunk.
    pub fn shape(&self, n_act: usize) -> Vec<usize> {
        if self.is_chunk { vec![self.horizons.prediction, n_act] } else { vec![n_act] }
    }

    /// Whether the network draws noise: at first, and in each denoising step in their order.
    pub fn has_noise(&self) -> impl Iterator<Item = bool> {
        // The last step draws none at any level.
        let steps = self.levels.iter().skip(1).rev().map(|level| level.posterior[2] > 0.0);
        std::iter::once(true).chain(steps).chain([false])
    }
}

/// The inputs of a denoising step.
pub struct Step<'a> {
    pub policy: &'a Policy,
    pub denoising: &'a Denoising,
    /// Standardized: `[batch, n_features]`, or `[batch, window, n_features]` for chunks.
    pub states: Value,
    /// x_t: `[acting members, batch, ...]`.
    noisy: Value,
    /// Fresh noise, likewise.
    noise: Value,
    /// Steps that are left after this one.
    step: Value,
    /// The member that acts, if one is drawn for every prediction.
    member: Option<Value>,
}

impl<'a> Step<'a> {
    /// Declares the inputs besides the observations.
    pub fn inputs(graph: &mut Graph, policy: &'a Policy, denoising: &'a Denoising, states: Value) -> Self {
        let axes = axes(policy, denoising);
        let noisy = "actions with noise, by member: at first standard normal, then the output `denoised`";
        let noise = "standard normal noise, new in every step";
        let last = denoising.steps() - 1;
        let step = format!("denoising steps left after this one: {last} in the first, 0 in the last");
        let noisy = graph.input("noisy", &axes, noisy);
        let noise = graph.input("noise", &axes, noise);
        let step = graph.integer_input("step", &step);
        let last = policy.members().len() - 1;
        let member = format!(
            "the network that acts, 0 to {last}: drawn for every prediction, the same in all its steps"
        );
        let member = super::is_drawn(policy).then(|| graph.integer_input("member", &member));
        Self { policy, denoising, states, noisy, noise, step, member }
    }

    /// The outputs: x_{t-1}, and the actions that would be executed if this is the last step. `constrain` maps sigma(g), `[batch, ...]`, to
    /// what denoising continues from; its name is given first.
    pub fn outputs(&self, graph: &mut Graph, constrain: &dyn Fn(&mut Graph, &str, &Value) -> Value) {
        let Self { policy, denoising, .. } = self;
        let activation = policy.envelope().activation;
        let posterior = |of: usize| move |level: &Level| level.posterior[of];
        let of_clean = self.coefficient(graph, "posterior.clean", posterior(0));
        let of_noisy = self.coefficient(graph, "posterior.noisy", posterior(1));
        let of_noise = self.coefficient(graph, "posterior.noise", posterior(2));
        let embedding = self.embedding(graph);
        let (mut clean, mut next) = (Vec::new(), Vec::new());
        for member in 0..super::acting_members(policy) {
            let scope = self.scope(member);
            let name = |part: &str| format!("{scope}/{part}");
            let member_index = graph.integers(&name("index"), &[member as i64]);
            let mut own = |part: &str, of: &Value| {
                let row = graph.gather(&name(&format!("{part}.row")), of, &member_index);
                let axis = graph.integers(&name(&format!("{part}.axis")), &[0]);
                graph.node("Squeeze", &name(part), &[&row, &axis], &[])
            };
            let [noisy, noise] = [own("noisy", &self.noisy), own("noise", &self.noise)];
            let g = self.predict(graph, member, &noisy, &embedding);
            let s = sigma(graph, &name("clean_action"), activation, &g);
            let constrained = constrain(graph, &name("constrained"), &s);
            let parts = [
                ("clean", &of_clean, &constrained),
                ("noisy", &of_noisy, &noisy),
                ("noise", &of_noise, &noise),
            ];
            let parts = parts
                .map(|(part, by, of)| graph.node("Mul", &name(&format!("denoised.{part}")), &[by, of], &[]));
            let denoised = graph.node("Sum", &name("denoised"), &parts.each_ref(), &[]);
            next.push(graph.unsqueeze(&name("denoised.row"), &denoised, 0));
            clean.push(g);
        }
        let next: Vec<&Value> = next.iter().collect();
        let next =
            graph.node("Concat", "denoised_members", &next, &[crate::graph::Attribute::Int("axis", 0)]);
        let what = "the input `noisy` of the next step";
        graph.output("denoised", &next, &axes(policy, denoising), DataType::Float, what);
        self.network_action(graph, &clean);
    }

    /// The mean over the members of sigma(g), the steps that are executed.
    fn network_action(&self, graph: &mut Graph, clean: &[Value]) {
        let Self { policy, denoising, .. } = self;
        let n_act = policy.codebook().n_act();
        let activation = policy.envelope().activation;
        let mut action = match self.member {
            Some(_) => sigma(graph, "drawn/action", activation, &clean[0]),
            None => mean(graph, activation, clean),
        };
        let mut axes = vec![Axis::Any("batch")];
        if denoising.is_chunk {
            let executed = denoising.horizons.execution;
            axes.push(Axis::Fixed(executed));
            action = graph.slice("executed", &action, 1, [0, executed as i64]);
        }
        axes.push(Axis::Fixed(n_act));
        let what = "the network's actions in [-1, 1], after the last step: the input of the graph that constrains them";
        graph.output("network_action", &action, &axes, DataType::Float, what);
    }

    /// g, the clean actions that a member or the drawn one predicts: of the shape of `noisy`.
    fn predict(&self, graph: &mut Graph, member: usize, noisy: &Value, embedding: &Value) -> Value {
        let scope = self.scope(member);
        let inputs = [noisy, embedding, &self.states];
        let output = match &self.member {
            Some(drawn) => {
                let forward = |k| graph.branch(|graph| self.forward(graph, k, inputs));
                let branches = (0..self.policy.members().len()).map(forward).collect();
                graph.choose(&format!("{scope}/output"), drawn, branches)
            }
            None => self.forward(graph, member, inputs),
        };
        if self.denoising.prediction == PredictionType::Sample {
            return output;
        }
        // The network predicts the noise.
        let name = |part: &str| format!("{scope}/clean.{part}");
        let of_noise = self.coefficient(graph, &name("of_noise"), |l| l.sqrt_one_minus_alpha_bar);
        let of_clean = self.coefficient(graph, &name("of_clean"), |l| l.sqrt_alpha_bar);
        let noise = graph.node("Mul", &name("noise"), &[&of_noise, &output], &[]);
        let rest = graph.node("Sub", &name("rest"), &[noisy, &noise], &[]);
        graph.node("Div", &format!("{scope}/clean"), &[&rest, &of_clean], &[])
    }

    /// The output of a network of the policy.
    fn forward(&self, graph: &mut Graph, member: usize, inputs: [&Value; 3]) -> Value {
        let scope = format!("member.{member}");
        let network = &self.policy.members()[member];
        if let Some(network) = network.downcast::<Diffusion>() {
            diffusion::forward(graph, &scope, network, inputs)
        } else if let Some(network) = network.downcast::<ResMlp>() {
            resmlp::forward(graph, &scope, network, inputs)
        } else {
            unet::forward(graph, &scope, network.downcast::<Unet>().expect("a network that denoises"), inputs)
        }
    }

    /// The first part of the names of what a member computes, if all act, or the drawn one.
    fn scope(&self, member: usize) -> String {
        if self.member.is_some() { "drawn".into() } else { format!("member.{member}") }
    }

    /// A coefficient at this step.
    fn coefficient(&self, graph: &mut Graph, name: &str, of: impl Fn(&Level) -> f32) -> Value {
        let all: Vec<f32> = self.denoising.levels.iter().map(of).collect();
        let all = graph.constant(&format!("{name}.by_step"), &[all.len()], &all);
        graph.gather(name, &all, &self.step)
    }

    /// The sinusoids of this step, `[waves]`.
    fn embedding(&self, graph: &mut Graph) -> Value {
        let Denoising { levels, waves, .. } = self.denoising;
        let mut all = vec![0.0; levels.len() * waves];
        for (level, row) in levels.iter().zip(all.chunks_exact_mut(*waves)) {
            sinusoids(level.t, row);
        }
        let all = graph.constant("time/sinusoids.by_step", &[levels.len(), *waves], &all);
        graph.gather("time/sinusoids", &all, &self.step)
    }
}

/// The axes of noisy actions.
fn axes(policy: &Policy, denoising: &Denoising) -> Vec<Axis> {
    let mut axes = vec![Axis::Fixed(super::acting_members(policy)), Axis::Any("batch")];
    axes.extend(denoising.shape(policy.codebook().n_act()).into_iter().map(Axis::Fixed));
    axes
}
