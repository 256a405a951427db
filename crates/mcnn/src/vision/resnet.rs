//! The architectures of the residual networks (He et al., 2016), with torchvision's names and shapes of their layers. As in
//! torchvision ("V1.5"), a block of ResNet-50 has its stride in the 3 x 3 convolution.

use serde::{Deserialize, Serialize};

/// A standard residual network up to its global average pooling: from a frame of three channels to an embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResNet {
    /// 18 layers, embeddings of dimension 512.
    ResNet18,
    /// 34 layers, embeddings of dimension 512: the network of the paper's image experiments.
    ResNet34,
    /// 50 layers in bottleneck blocks, embeddings of dimension 2,048.
    ResNet50,
}

/// Channels of the first layer.
const STEM: usize = 64;
/// Channels of each stage, before the expansion of a bottleneck block.
const STAGES: [usize; 4] = [64, 128, 256, 512];

/// A convolution and its batch normalization, by their names in a file of weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub conv: String,
    pub norm: String,
    pub from: usize,
    pub to: usize,
    pub kernel: usize, // square, padded by half of it
    pub stride: usize,
}

impl Layer {
    /// The tensors of the layer: weights, then scale, shift, mean and variance of the batch normalization.
    pub(crate) fn tensors(&self) -> [(String, Vec<usize>); 5] {
        let norm = |part: &str| (format!("{}.{part}", self.norm), vec![self.to]);
        [
            (format!("{}.weight", self.conv), vec![self.to, self.from, self.kernel, self.kernel]),
            norm("weight"),
            norm("bias"),
            norm("running_mean"),
            norm("running_var"),
        ]
    }
}

/// A residual block: layers in sequence, whose output is added to the block's input. A projection shortcut (`shortcut`) adapts
/// the input where the shape changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub name: String,
    pub layers: Vec<Layer>,
    pub shortcut: Option<Layer>,
}

impl ResNet {
    /// All residual networks.
    pub const ALL: [ResNet; 3] = [ResNet::ResNet18, ResNet::ResNet34, ResNet::ResNet50];

    /// The name in torchvision.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResNet18 => "resnet18",
            Self::ResNet34 => "resnet34",
            Self::ResNet50 => "resnet50",
        }
    }

    /// Dimension of an embedding.
    pub fn width(self) -> usize {
        STAGES[3] * self.expansion()
    }

    /// Blocks of each of the four stages.
    pub(crate) fn depths(self) -> [usize; 4] {
        match self {
            Self::ResNet18 => [2, 2, 2, 2],
            Self::ResNet34 | Self::ResNet50 => [3, 4, 6, 3],
        }
    }

    /// Convolutions in a block.
    pub(crate) fn block_depth(self) -> usize {
        if self == Self::ResNet50 { 3 } else { 2 }
    }

    /// The expansion of a bottleneck block.
    fn expansion(self) -> usize {
        if self.block_depth() == 3 { 4 } else { 1 }
    }

    /// The first layer, whose input is the frame.
    pub(crate) fn stem(self) -> Layer {
        Layer { conv: "conv1".into(), norm: "bn1".into(), from: 3, to: STEM, kernel: 7, stride: 2 }
    }

    /// The blocks, in order.
    pub(crate) fn blocks(self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut from = STEM;
        for (stage, (depth, inner)) in self.depths().into_iter().zip(STAGES).enumerate() {
            for i in 0..depth {
                let stride = if i == 0 && stage > 0 { 2 } else { 1 };
                let block = self.block(format!("layer{}.{i}", stage + 1), from, inner, stride);
                from = inner * self.expansion();
                blocks.push(block);
            }
        }
        blocks
    }

    fn block(self, name: String, from: usize, inner: usize, stride: usize) -> Block {
        let to = inner * self.expansion();
        let layer = |k: usize, from, to, kernel, stride| {
            let (conv, norm) = (format!("{name}.conv{k}"), format!("{name}.bn{k}"));
            Layer { conv, norm, from, to, kernel, stride }
        };
        let layers = match self.block_depth() {
            2 => vec![layer(1, from, inner, 3, stride), layer(2, inner, to, 3, 1)],
            _ => vec![
                layer(1, from, inner, 1, 1),
                layer(2, inner, inner, 3, stride),
                layer(3, inner, to, 1, 1),
            ],
        };
        let shortcut = (from != to || stride != 1).then(|| Layer {
            conv: format!("{name}.downsample.0"),
            norm: format!("{name}.downsample.1"),
            from,
            to,
            kernel: 1,
            stride,
        });
        Block { name, layers, shortcut }
    }

    /// Every tensor of the network that an embedding takes, with its shape.
    pub fn tensors(self) -> Vec<(String, Vec<usize>)> {
        let blocks = self.blocks();
        let inner = blocks.iter().flat_map(|b| b.layers.iter().chain(&b.shortcut));
        std::iter::once(&self.stem()).chain(inner).flat_map(Layer::tensors).collect()
    }
}

impl std::fmt::Display for ResNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
