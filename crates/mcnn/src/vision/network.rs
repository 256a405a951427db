//! Forward pass of any of the networks: frames are embedded in small batches, on several threads.

use std::{fmt, str::FromStr, sync::Mutex};

use super::{
    batch::FoldedResNet,
    conv::Conv,
    encoder,
    residual::{self, LayerHook, Residual},
    resnet::ResNet,
};
use crate::error::Result;

/// The most images in a batch: enough that loading the weights takes little of the time.
const GROUP: usize = 32;
/// The most bytes of activations of a thread. Large frames are embedded in smaller batches.
const WORKSPACE_BYTES: usize = 64 << 20;

/// The architecture of a network. As text: the name of a [`ResNet`] or of a [`Conv`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// One of the residual networks.
    ResNet(ResNet),
    /// A small convolutional network, trained with `mcnn encoder`.
    Conv(Conv),
}

impl Design {
    /// Numbers of an embedding.
    pub fn width(self) -> usize {
        match self {
            Self::ResNet(resnet) => resnet.width(),
            Self::Conv(conv) => conv.width(),
        }
    }

    /// Every tensor of the network that an embedding takes, with its shape.
    pub fn tensors(self) -> Vec<(String, Vec<usize>)> {
        match self {
            Self::ResNet(resnet) => resnet.tensors(),
            Self::Conv(conv) => conv.tensors(),
        }
    }

    /// Height and width of the frames, if the network accepts only one size.
    pub fn frame(self) -> Option<[usize; 2]> {
        match self {
            Self::ResNet(_) => None,
            Self::Conv(conv) => Some(conv.frame()),
        }
    }
}

impl From<ResNet> for Design {
    fn from(resnet: ResNet) -> Self {
        Self::ResNet(resnet)
    }
}

impl fmt::Display for Design {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResNet(resnet) => resnet.fmt(f),
            Self::Conv(conv) => conv.fmt(f),
        }
    }
}

impl FromStr for Design {
    type Err = crate::Error;

    fn from_str(text: &str) -> Result<Self> {
        match ResNet::ALL.into_iter().find(|resnet| resnet.name() == text) {
            Some(resnet) => Ok(Self::ResNet(resnet)),
            None => text.parse().map(Self::Conv),
        }
    }
}

impl serde::Serialize for Design {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Design {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(|e: crate::Error| serde::de::Error::custom(e.what()))
    }
}

/// A network with its weights.
#[derive(Debug)]
pub struct Network {
    layers: Layers,
    workspaces: Mutex<Vec<Workspace>>,
}

#[derive(Debug)]
enum Layers {
    Residual(Residual),
    Encoder(encoder::Encoder),
}

/// Preallocated activations of a thread.
#[derive(Debug, Default)]
struct Workspace {
    residual: residual::Workspace,
    encoder: encoder::Workspace,
}

impl Network {
    /// Loads the network. `read` returns the values of a tensor by its name and shape.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn new(design: Design, read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Self> {
        let layers = match design {
            Design::ResNet(resnet) => Layers::Residual(Residual::new(resnet, read)?),
            Design::Conv(conv) => Layers::Encoder(encoder::Encoder::new(conv, read)?),
        };
        Ok(Self { layers, workspaces: Mutex::default() })
    }

    /// Which network it is.
    pub fn design(&self) -> Design {
        match &self.layers {
            Layers::Residual(net) => Design::ResNet(net.resnet()),
            Layers::Encoder(net) => Design::Conv(net.conv()),
        }
    }

    /// Numbers of an embedding.
    pub fn width(&self) -> usize {
        self.design().width()
    }

    /// The weights of a residual network for a device, copied; `None` of the small network.
    pub fn folded(&self) -> Option<FoldedResNet> {
        match &self.layers {
            Layers::Residual(net) => Some(net.folded()),
            Layers::Encoder(_) => None,
        }
    }

    /// Embeds frames of `size` (height, width): `frames` is `[n, height, width, 3]`, `to` is `[n, width of the network]`.
    /// Groups of frames go side by side on rayon's threads. A frame's embedding does not depend on the others'. After
    /// the first call, calls with frames of the same size allocate nothing of the size of frames.
    ///
    /// # Panics
    /// Where a slice has another length than that, or the network takes frames of another size.
    pub fn embed(&self, frames: &[f32], size: [usize; 2], to: &mut [f32]) {
        use rayon::prelude::*;
        let (frame, width) = (size[0] * size[1] * 3, self.width());
        let n = to.len() / width;
        assert_eq!((frames.len(), to.len()), (n * frame, n * width), "{n} frames of {size:?}");
        let bytes = match &self.layers {
            Layers::Residual(_) => Residual::bytes(size),
            Layers::Encoder(net) => net.bytes(),
        };
        let group = (WORKSPACE_BYTES / bytes.max(1))
            .clamp(1, GROUP)
            .min(n.div_ceil(rayon::current_num_threads()))
            .max(1);
        frames.par_chunks(group * frame).zip(to.par_chunks_mut(group * width)).for_each(|(frames, to)| {
            self.embed_with_hook(frames, size, to, &mut |_, _, _, _| ());
        });
    }

    /// The same for one group on this thread, what every block (of a residual network) or layer gave shown to `seen`.
    ///
    /// # Panics
    /// As [`embed`](Self::embed).
    pub fn embed_with_hook(&self, frames: &[f32], size: [usize; 2], to: &mut [f32], hook: &mut LayerHook) {
        let mut workspace = self.workspaces.lock().expect("no thread panics here").pop().unwrap_or_default();
        match &self.layers {
            Layers::Residual(net) => workspace.residual.pass(net, frames, size, to, hook),
            Layers::Encoder(net) => workspace.encoder.pass(net, frames, size, to, hook),
        }
        self.workspaces.lock().expect("no thread panics here").push(workspace);
    }
}
