//! Loads the weights of a network: matches the tensors of a file to its layers, and reports missing and superfluous ones and the
//! network that a file resembles.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::{
    download,
    encoded_policy::Arrays,
    encoder_file::EncoderInfo,
    encoding::Encoding,
    network::{Design, Network},
    resnet::ResNet,
    tensors::Tensors,
};
use crate::{
    error::{Error, Kind, Result},
    seed::Seed,
};

/// The source of weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Weights {
    /// A `.pth` of PyTorch, a `.safetensors`, or an encoder that `mcnn encoder` trained.
    File(PathBuf),
    /// The weights that torchvision publishes, trained on ImageNet; downloaded once.
    ImageNet,
    /// Random weights of a seed: an untrained network.
    Random(u64),
}

impl std::str::FromStr for Weights {
    type Err = String;

    /// `imagenet`, `random:SEED`, or a path.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "imagenet" {
            return Ok(Self::ImageNet);
        }
        if text == "random" {
            return Err("random weights need a seed: random:0".into());
        }
        match text.strip_prefix("random:") {
            Some(seed) => seed.parse().map(Self::Random).map_err(|_| format!("{seed:?} is not a seed")),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// The identity of the weights, and the tensors of their file that were not needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Found {
    /// The SHA-256 of the file, or `random:SEED`.
    pub weights: String,
    /// The file; none for random weights.
    pub file: Option<PathBuf>,
    /// The common prefix of all names, such as `module.`.
    pub prefix: String,
    /// Tensors that the network does not have. The classifier (`fc`), which embeddings do not use, is not counted.
    pub left_over: Vec<String>,
    /// The metadata of an encoder's file.
    pub encoder: Option<EncoderInfo>,
}

/// Loads a network with its weights. An encoder's file names its architecture; for other weights, the default is ResNet-34.
///
/// `progress` is called with the bytes downloaded and the total, if a download is needed.
///
/// # Errors
/// A file that cannot be read, or is of another network than the one named (the message names the one that it resembles); weights that are
/// not finite, or variances below zero; and those of [`download::fetch`].
pub fn load(
    weights: &Weights,
    network: Option<Design>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Network, Found)> {
    let design = network.unwrap_or(Design::ResNet(ResNet::ResNet34));
    let file = match (weights, design) {
        (Weights::File(path), _) => path.clone(),
        (Weights::ImageNet, design) => published(design, progress)?,
        (Weights::Random(seed), _) => {
            let found = Found { weights: format!("random:{seed}"), ..Found::default() };
            return Ok((random(design, Seed(*seed)), found));
        }
    };
    let mut tensors = Tensors::open(&file)?;
    let encoder = EncoderInfo::of(&tensors)?;
    let design = match (&encoder, network) {
        (Some(encoder), Some(named)) if named != encoder.network => {
            return Err(Error::new(Kind::Mismatch, "weights of another network")
                .at(file.display().to_string())
                .expected(named.to_string())
                .found(format!("an encoder, {}", encoder.network))
                .next("leave --network out: the file says which it is"));
        }
        (Some(encoder), _) => encoder.network,
        (None, _) => design,
    };
    let found = fit(&tensors, design)?;
    let network = Network::new(design, |name, shape| {
        let full = format!("{}{name}", found.prefix);
        let values = tensors.read(&full, shape)?;
        if name.ends_with("running_var") && values.iter().any(|&v| v < 0.0) {
            return Err(Error::new(Kind::File, "a variance below zero")
                .at(format!("{}: {full}", file.display()))
                .next("the file is damaged: fetch it again"));
        }
        Ok(values)
    })?;
    Ok((network, Found { weights: tensors.sha256()?, encoder, ..found }))
}

/// The file of published weights of a network, downloaded if needed.
fn published(design: Design, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
    match design {
        Design::ResNet(resnet) => download::imagenet(resnet, progress),
        Design::Conv(conv) => {
            Err(Error::new(Kind::Mismatch, "there are no published weights of the small network")
                .found(format!("--weights imagenet, --network {conv}"))
                .next("mcnn encoder trains them"))
        }
    }
}

/// Every tensor of the encoder that an encoding names, by name, as [`Encoder::new`](super::Encoder::new) takes them.
///
/// # Errors
/// Other weights than those of the encoding, and the errors of [`load`] except those about values, which
/// [`Encoder::new`](super::Encoder::new) checks.
pub fn tensors_of(
    weights: &Weights,
    encoding: &Encoding,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Arrays> {
    let network = encoding.network;
    let refuse = |found: String| {
        Err(Error::new(Kind::Mismatch, "other weights than those that embedded the data")
            .expected(format!("{network}, weights {}", encoding.weights))
            .found(found))
    };
    let file = match weights {
        Weights::File(path) => path.clone(),
        Weights::ImageNet => published(network, progress)?,
        Weights::Random(seed) if encoding.weights == format!("random:{seed}") => {
            let random = |(name, shape): (String, Vec<usize>)| {
                let values = random_tensor(network, Seed(*seed), &name, &shape);
                (name, (shape, values))
            };
            return Ok(network.tensors().into_iter().map(random).collect());
        }
        Weights::Random(seed) => return refuse(format!("random:{seed}")),
    };
    let mut tensors = Tensors::open(&file)?;
    let sha256 = tensors.sha256()?;
    if sha256 != encoding.weights {
        return refuse(format!("{}, weights {sha256}", file.display()));
    }
    let prefix = fit(&tensors, network)?.prefix;
    let mut read = |(name, shape): (String, Vec<usize>)| {
        let values = tensors.read(&format!("{prefix}{name}"), &shape)?;
        Ok((name, (shape, values)))
    };
    network.tensors().into_iter().map(&mut read).collect()
}

/// An untrained network.
fn random(design: Design, seed: Seed) -> Network {
    let made = Network::new(design, |name, shape| Ok(random_tensor(design, seed, name, shape)));
    made.expect("random weights are always there")
}

/// Random weights: normal by the rule of He et al. (2015); batch normalization is the identity, biases are zero.
fn random_tensor(design: Design, seed: Seed, name: &str, shape: &[usize]) -> Vec<f32> {
    let count = shape.iter().product();
    let normal = |std: f64| {
        let mut rng = seed.fork("encoder").fork(name).rng();
        (0..count).map(|_| (std * rng.normal()) as f32).collect()
    };
    match *shape {
        [to, _, height, width] if matches!(design, Design::ResNet(_)) => {
            normal((2.0 / (to * height * width) as f64).sqrt())
        }
        [_, from, height, width] => normal((2.0 / (from * height * width) as f64).sqrt()),
        [_, from] => normal((1.0 / from as f64).sqrt()),
        _ if name.ends_with("running_var") || name.ends_with("weight") => vec![1.0; count],
        _ => vec![0.0; count],
    }
}

/// Checks that the tensors are those of a network; finds the prefix of their names and the superfluous ones.
///
/// # Errors
/// Tensors that are missing, of another shape, or of a deeper network.
fn fit(tensors: &Tensors, design: Design) -> Result<Found> {
    let shapes: BTreeMap<&str, &[u64]> = tensors.shapes().collect();
    let prefix = prefix(&shapes).unwrap_or_default();
    let wanted = design.tensors();
    let (mut missing, mut other) = (Vec::new(), Vec::new());
    for (name, shape) in &wanted {
        match shapes.get(format!("{prefix}{name}").as_str()) {
            None => missing.push(name.clone()),
            Some(found) if !found.iter().eq(shape.iter().map(|&n| n as u64).collect::<Vec<_>>().iter()) => {
                other.push(format!("{name} is {found:?}, not {shape:?}"));
            }
            Some(_) => {}
        }
    }
    let known: std::collections::BTreeSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let left_over: Vec<String> = (shapes.keys())
        .filter(|full| match full.strip_prefix(&prefix) {
            Some(name) => {
                !known.contains(name) && !name.starts_with("fc.") && !name.ends_with("num_batches_tracked")
            }
            None => true,
        })
        .map(|name| (*name).to_owned())
        .collect();
    // Superfluous blocks mean a deeper network, of which this one has the first blocks only.
    let deeper = left_over.iter().any(|name| name[prefix.len().min(name.len())..].starts_with("layer"));
    if missing.is_empty() && other.is_empty() && !deeper {
        let file = Some(tensors.path().to_owned());
        return Ok(Found { file, prefix, left_over, ..Found::default() });
    }
    let mut found = format!("{} tensors of {}", shapes.len(), looks_like(&shapes, &prefix));
    for (what, list) in [("missing", &missing), ("left over", &left_over), ("of another shape", &other)] {
        if let Some(first) = list.first() {
            found +=
                &format!("; {} {what}: {first}{}", list.len(), if list.len() > 1 { ", ..." } else { "" });
        }
    }
    let next = match ResNet::ALL.iter().find(|r| looks_like(&shapes, &prefix) == r.name()) {
        Some(r) if Design::ResNet(*r) != design => format!("--network {r}"),
        _ => "name a file of weights that torchvision's models have".into(),
    };
    Err(Error::new(Kind::Mismatch, "weights of another network")
        .at(tensors.path().display().to_string())
        .expected(match design {
            Design::ResNet(_) => {
                format!("the {} tensors of {design}, as torchvision names them", wanted.len())
            }
            Design::Conv(_) => format!("the {} tensors of {design}", wanted.len()),
        })
        .found(found)
        .next(next))
}

/// The prefix of the first layer's name. Wrappers add `module.` or names of their own.
fn prefix(shapes: &BTreeMap<&str, &[u64]>) -> Option<String> {
    let first = shapes.keys().filter_map(|name| name.strip_suffix("conv1.weight"));
    let stems = first.filter(|before| shapes.contains_key(format!("{before}layer1.0.conv1.weight").as_str()));
    stems.min_by_key(|before| before.len()).map(str::to_owned)
}

/// The name of the network that tensors belong to, by their names and shapes.
fn looks_like(shapes: &BTreeMap<&str, &[u64]>, prefix: &str) -> String {
    let has = |name: &str| shapes.contains_key(format!("{prefix}{name}").as_str());
    if has("layer1.0.conv1.weight") {
        let blocks =
            |stage: usize| (0..).take_while(|i| has(&format!("layer{stage}.{i}.conv1.weight"))).count();
        let depths = [1, 2, 3, 4].map(blocks);
        let wide = shapes.get(format!("{prefix}layer1.0.conv2.weight").as_str());
        let wide = wide.is_some_and(|shape| shape.first() != Some(&64) || shape.get(1) != Some(&64));
        return match (depths, has("layer1.0.conv3.weight"), wide) {
            ([2, 2, 2, 2], false, false) => "resnet18".into(),
            ([3, 4, 6, 3], false, false) => "resnet34".into(),
            ([3, 4, 6, 3], true, false) => "resnet50".into(),
            ([3, 4, 23, 3], true, false) => "resnet101".into(),
            ([3, 8, 36, 3], true, false) => "resnet152".into(),
            (_, _, true) => format!("a ResNeXt or wide ResNet of {depths:?} blocks"),
            _ => format!("a residual network of {depths:?} blocks"),
        };
    }
    let any = |part: &str| shapes.keys().any(|name| name.contains(part));
    let known = [
        ("attn.qkv", "a vision transformer (timm)"),
        ("encoder_layer_0", "a vision transformer (torchvision)"),
        ("visual.", "CLIP"),
        ("denseblock1", "a DenseNet"),
        ("Mixed_5b", "Inception"),
        ("features.0.0.weight", "a MobileNet or EfficientNet"),
        ("features.0.weight", "a VGG or AlexNet"),
        ("base_layers.", "a ResNet whose layers were renamed"),
    ];
    let found = known.iter().find(|(part, _)| any(part)).map(|(_, name)| (*name).to_owned());
    let first = || shapes.keys().next().map_or("nothing".into(), |name| format!("a network with {name}"));
    found.unwrap_or_else(first)
}
