//! What the network is made of, and where each part's numbers lie.

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

/// Two blocks, the channels scaled and shifted between them, and a way around them.
#[derive(Debug, Clone, PartialEq)]
pub struct Residual {
    /// An earlier value whose channels are put after those of the input.
    pub skip: Option<usize>,
    pub first: Block,
    /// Where its scales and shifts begin among those of all.
    pub film: usize,
    pub second: Block,
    /// A convolution of one tap; the input itself where it has as many channels as come out.
    pub around: Option<Conv>,
}

/// A part: value k + 1 is what part k makes of value k, and value 0 the chunk of noisy actions.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Residual(Residual),
    Block(Block),
    Conv(Conv),
}

/// How an array begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    /// Uniform within 1/sqrt of this.
    Within(usize),
    Ones,
    Zeros,
}

/// An array among the numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub name: String,
    pub shape: Vec<usize>,
    pub at: usize,
    pub start: Start,
}

/// The whole network.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub widths: Vec<usize>,
    pub n_obs: usize,
    pub n_act: usize,
    /// What the sinusoids of the diffusion step go through, Mish between.
    pub time: [Conv; 2],
    /// From the condition (the time, then the observations), after Mish, to the scales and shifts of all residuals.
    pub film: Conv,
    pub parts: Vec<Part>,
    pub arrays: Vec<Named>,
}

/// Lays arrays out one after the other.
struct Layout<'a> {
    settings: &'a UnetSettings,
    arrays: Vec<Named>,
    end: usize,
    film: usize,
}

impl Layout<'_> {
    fn array(&mut self, name: String, shape: &[usize], start: Start) -> usize {
        let at = self.end;
        self.end += shape.iter().product::<usize>();
        self.arrays.push(Named { name, shape: shape.to_vec(), at, start });
        at
    }

    /// As PyTorch's layers start: every weight and bias within 1/sqrt of the numbers that an output adds up (of a
    /// transposed convolution: that an input goes to).
    fn conv(
        &mut self,
        name: &str,
        kind: Kind,
        kernel: usize,
        [inputs, outputs]: [usize; 2],
        time: usize,
    ) -> Conv {
        let start = Start::Within(kernel * if kind == Kind::Double { outputs } else { inputs });
        let weight = self.array(format!("{name}.weight"), &[kernel, inputs, outputs], start);
        let bias = self.array(format!("{name}.bias"), &[outputs], start);
        Conv { kind, kernel, inputs, outputs, time, weight, bias }
    }

    fn block(&mut self, name: &str, ends: [usize; 2], time: usize) -> Block {
        let conv = self.conv(name, Kind::Same, self.settings.kernel, ends, time);
        let gamma = self.array(format!("{name}.gamma"), &ends[1..], Start::Ones);
        let beta = self.array(format!("{name}.beta"), &ends[1..], Start::Zeros);
        let norm = Norm { groups: self.settings.groups, channels: ends[1], bias: conv.bias, gamma, beta };
        Block { conv, norm }
    }

    fn residual(&mut self, name: &str, skip: Option<usize>, ends: [usize; 2], time: usize) -> Part {
        let film = self.film;
        self.film += 2 * ends[1];
        let first = self.block(&format!("{name}.first"), ends, time);
        let second = self.block(&format!("{name}.second"), [ends[1]; 2], time);
        let around =
            (ends[0] != ends[1]).then(|| self.conv(&format!("{name}.around"), Kind::Same, 1, ends, time));
        Part::Residual(Residual { skip, first, film, second, around })
    }
}

impl Plan {
    /// The network of those widths, which are one or more that the settings allow.
    pub fn new(n_obs: usize, widths: &[usize], n_act: usize, settings: &UnetSettings) -> Self {
        let mut layout = Layout { settings, arrays: Vec::new(), end: 0, film: 0 };
        let waves = widths[0];
        let time = [[waves, 4 * waves], [4 * waves, waves]];
        let time = [0, 1].map(|k| layout.conv(&format!("time.{k}"), Kind::Same, 1, time[k], 1));
        let mut parts = Vec::new();
        let mut skips = Vec::new(); // the value at the end of each level on the way down
        let (mut steps, mut from) = (settings.horizon, n_act);
        let depth = widths.len() - 1;
        for (k, &width) in widths.iter().enumerate() {
            parts.push(layout.residual(&format!("down.{k}.0"), None, [from, width], steps));
            parts.push(layout.residual(&format!("down.{k}.1"), None, [width; 2], steps));
            skips.push(parts.len());
            if k < depth {
                parts.push(Part::Conv(layout.conv(
                    &format!("down.{k}.halve"),
                    Kind::Halve,
                    3,
                    [width; 2],
                    steps,
                )));
                steps /= 2;
            }
            from = width;
        }
        for k in 0..2 {
            parts.push(layout.residual(&format!("middle.{k}"), None, [from; 2], steps));
        }
        // The way up begins with the skip of the last level, at its own length, so that of the first is not used.
        for k in (0..depth).rev() {
            let (skip, width) = (skips[k + 1], widths[k]);
            parts.push(layout.residual(&format!("up.{k}.0"), Some(skip), [2 * from, width], steps));
            parts.push(layout.residual(&format!("up.{k}.1"), None, [width; 2], steps));
            parts.push(Part::Conv(layout.conv(
                &format!("up.{k}.double"),
                Kind::Double,
                4,
                [width; 2],
                steps,
            )));
            steps *= 2;
            from = width;
        }
        parts.push(Part::Block(layout.block("end.0", [from; 2], steps)));
        parts.push(Part::Conv(layout.conv("end.1", Kind::Same, 1, [from, n_act], steps)));
        let ends = [waves + settings.window * n_obs, layout.film];
        let film = layout.conv("film", Kind::Same, 1, ends, 1);
        Self { widths: widths.to_vec(), n_obs, n_act, time, film, parts, arrays: layout.arrays }
    }

    /// How many numbers there are.
    pub fn numbers(&self) -> usize {
        self.arrays.last().map_or(0, |last| last.at + last.shape.iter().product::<usize>())
    }
}
