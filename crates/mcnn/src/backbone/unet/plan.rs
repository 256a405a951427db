//! The layers of the network, and the layout of their parameters in one flat array.

use super::{
    UnetSettings,
    conv::{Conv, Kind},
    norm::Norm,
};

/// A convolution, group norm and Mish.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub conv: Conv,
    pub norm: Norm,
}

/// Two blocks with FiLM between them, and a shortcut.
#[derive(Debug, Clone, PartialEq)]
pub struct Residual {
    /// An earlier value that is concatenated to the input (by channel).
    pub skip: Option<usize>,
    pub first: Block,
    /// Index of its first scale among the scales and shifts of all residuals.
    pub film: usize,
    pub second: Block,
    /// A convolution with one tap; `None` if the shortcut is the identity, because both have as many channels.
    pub shortcut: Option<Conv>,
}

/// A stage of the network. Value 0 is the noisy chunk; stage k maps value k to value k + 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    Residual(Residual),
    Block(Block),
    Conv(Conv),
}

/// How an array is initialized.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Uniform within 1/sqrt of this.
    Uniform(usize),
    Ones,
    Zeros,
}

/// An array among the parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub name: String,
    pub shape: Vec<usize>,
    /// Index of its first value.
    pub start: usize,
    pub init: Init,
}

/// The whole network.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub widths: Vec<usize>,
    pub n_obs: usize,
    pub n_act: usize,
    /// Layers of the embedding of the diffusion step, with Mish between them.
    pub time: [Conv; 2],
    /// From Mish of the condition (time embedding, then observations) to the scales and shifts of all residuals.
    pub film: Conv,
    pub stages: Vec<Stage>,
    pub arrays: Vec<Named>,
}

/// Assigns ranges of the flat array to arrays, in order.
struct Layout<'a> {
    settings: &'a UnetSettings,
    arrays: Vec<Named>,
    end: usize,
    film: usize,
}

impl Layout<'_> {
    fn array(&mut self, name: String, shape: &[usize], init: Init) -> usize {
        let start = self.end;
        self.end += shape.iter().product::<usize>();
        self.arrays.push(Named { name, shape: shape.to_vec(), start, init });
        start
    }

    /// Initialized as PyTorch's layers: weights and biases are uniform within 1/sqrt(inputs of an output), of a transposed
    /// convolution within 1/sqrt(outputs of an input).
    fn conv(
        &mut self,
        name: &str,
        kind: Kind,
        kernel: usize,
        [inputs, outputs]: [usize; 2],
        time: usize,
    ) -> Conv {
        let init = Init::Uniform(kernel * if kind == Kind::Upsample { outputs } else { inputs });
        let weight = self.array(format!("{name}.weight"), &[kernel, inputs, outputs], init);
        let bias = self.array(format!("{name}.bias"), &[outputs], init);
        Conv { kind, kernel, inputs, outputs, time, weight, bias }
    }

    fn block(&mut self, name: &str, ends: [usize; 2], time: usize) -> Block {
        let conv = self.conv(name, Kind::Plain, self.settings.kernel, ends, time);
        let gamma = self.array(format!("{name}.gamma"), &ends[1..], Init::Ones);
        let beta = self.array(format!("{name}.beta"), &ends[1..], Init::Zeros);
        let norm = Norm { groups: self.settings.groups, channels: ends[1], bias: conv.bias, gamma, beta };
        Block { conv, norm }
    }

    fn residual(&mut self, name: &str, skip: Option<usize>, ends: [usize; 2], time: usize) -> Stage {
        let film = self.film;
        self.film += 2 * ends[1];
        let first = self.block(&format!("{name}.first"), ends, time);
        let second = self.block(&format!("{name}.second"), [ends[1]; 2], time);
        // The names of arrays are those in files.
        let shortcut =
            (ends[0] != ends[1]).then(|| self.conv(&format!("{name}.around"), Kind::Plain, 1, ends, time));
        Stage::Residual(Residual { skip, first, film, second, shortcut })
    }
}

impl Plan {
    /// The network of those widths, which are one or more that the settings allow.
    pub fn new(n_obs: usize, widths: &[usize], n_act: usize, settings: &UnetSettings) -> Self {
        let mut layout = Layout { settings, arrays: Vec::new(), end: 0, film: 0 };
        let waves = widths[0];
        let time = [[waves, 4 * waves], [4 * waves, waves]];
        let time = [0, 1].map(|k| layout.conv(&format!("time.{k}"), Kind::Plain, 1, time[k], 1));
        let mut stages = Vec::new();
        let mut skips = Vec::new(); // the index of the last value of each level of the encoder
        let (mut steps, mut from) = (settings.horizon, n_act);
        let depth = widths.len() - 1;
        for (k, &width) in widths.iter().enumerate() {
            stages.push(layout.residual(&format!("down.{k}.0"), None, [from, width], steps));
            stages.push(layout.residual(&format!("down.{k}.1"), None, [width; 2], steps));
            skips.push(stages.len());
            if k < depth {
                stages.push(Stage::Conv(layout.conv(
                    &format!("down.{k}.halve"),
                    Kind::Downsample,
                    3,
                    [width; 2],
                    steps,
                )));
                steps /= 2;
            }
            from = width;
        }
        for k in 0..2 {
            stages.push(layout.residual(&format!("middle.{k}"), None, [from; 2], steps));
        }
        // The decoder begins with the skip connection of the coarsest level, so that of the finest one is not used.
        for k in (0..depth).rev() {
            let (skip, width) = (skips[k + 1], widths[k]);
            stages.push(layout.residual(&format!("up.{k}.0"), Some(skip), [2 * from, width], steps));
            stages.push(layout.residual(&format!("up.{k}.1"), None, [width; 2], steps));
            stages.push(Stage::Conv(layout.conv(
                &format!("up.{k}.double"),
                Kind::Upsample,
                4,
                [width; 2],
                steps,
            )));
            steps *= 2;
            from = width;
        }
        stages.push(Stage::Block(layout.block("end.0", [from; 2], steps)));
        stages.push(Stage::Conv(layout.conv("end.1", Kind::Plain, 1, [from, n_act], steps)));
        let ends = [waves + settings.window * n_obs, layout.film];
        let film = layout.conv("film", Kind::Plain, 1, ends, 1);
        Self { widths: widths.to_vec(), n_obs, n_act, time, film, stages, arrays: layout.arrays }
    }

    /// The number of parameters.
    pub fn n_parameters(&self) -> usize {
        self.arrays.last().map_or(0, |last| last.start + last.shape.iter().product::<usize>())
    }
}
