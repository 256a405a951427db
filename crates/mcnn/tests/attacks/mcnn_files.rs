//! Attacks on files of mcnn: memories, policies of every backbone, checkpoints and encoders.

use mcnn::{
    backbone::{Architecture, BetSettings, DiffusionSettings, RetrievalSettings, UnetSettings},
    data::{ActionRange, Demonstrations, Parts},
    file,
    memory::{Amount, Codebook, LearnSettings, SelectionMethod, learn},
    optimizer::Moments,
    seed::Seed,
    train::{Checkpoint, Lambda, Run, TrainSettings},
    vision::{Conv, Design, EncoderInfo, Objective, Training, write_encoder},
};
use serde_json::{Value, json};

use super::{Attacks, in_limited_process, random_damage};

pub fn data() -> Demonstrations {
    let mut rng = Seed(1).rng();
    let states = (0..40 * 3).map(|_| rng.normal() as f32).collect();
    let actions = (0..40 * 2).map(|_| rng.between(-1.0, 1.0) as f32).collect();
    let parts = Parts { n_obs: 3, n_act: 2, states, actions, rewards: None, ends: vec![15, 40] };
    Demonstrations::new(parts, ActionRange::Refuse).unwrap()
}

pub fn codebook() -> Codebook {
    let settings =
        LearnSettings { amount: Amount::Count(8), selection: SelectionMethod::Gas, ..Default::default() };
    learn(&data(), &settings).unwrap().codebook
}

pub fn settings(backbone: Architecture) -> TrainSettings {
    // One kind is enough for the arrays of an ensemble.
    let members = if backbone == Architecture::default() { 2 } else { 1 };
    TrainSettings {
        backbone,
        hidden: vec![4],
        lambda: Lambda::Auto,
        batch: 8,
        steps: 5,
        members,
        ..Default::default()
    }
}

fn architectures() -> [(&'static str, Architecture); 5] {
    let bet = BetSettings { layers: 1, heads: 2, width: 4, window: 2, buckets: 3, ..Default::default() };
    let unet =
        UnetSettings { groups: 2, horizon: 4, executed: 2, sample_steps: 2, steps: 4, ..Default::default() };
    [
        ("mlp", Architecture::default()),
        ("diffusion", Architecture::from(DiffusionSettings::default())),
        ("bet", Architecture::from(bet)),
        ("unet", Architecture::from(unet)),
        ("retrieval", Architecture::from(RetrievalSettings { retrieved: 3, pairs: 4 })),
    ]
}

/// The reader and the bytes of a file of each kind.
fn files(backbone: Architecture) -> [(&'static str, Vec<u8>); 4] {
    let mut run = Run::new(&data(), codebook(), settings(backbone)).unwrap();
    run.step();
    let policy = file::policy_to_bytes(&run.policy());
    [
        ("memories", file::codebook_to_bytes(&codebook())),
        ("constraints", policy.clone()),
        ("checkpoint", file::checkpoint_to_bytes(&run.checkpoint().unwrap())),
        ("policy", policy),
    ]
}

/// The header and the data of a safetensors file.
fn split(bytes: &[u8]) -> (Value, &[u8]) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..][..length]).unwrap(), &bytes[8 + length..])
}

fn joined(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, payload].concat()
}

fn with_header(header: &Value, payload: &[u8]) -> Vec<u8> {
    joined(header.to_string().as_bytes(), payload)
}

/// The file with another text under the metadata key of mcnn.
fn with_text(bytes: &[u8], text: &str) -> Vec<u8> {
    let (mut header, payload) = split(bytes);
    header["__metadata__"]["mcnn"] = text.into();
    with_header(&header, payload)
}

/// Replacements for a value.
fn replacements() -> Vec<Value> {
    let extremes = [json!(0), json!(-1), json!(1), json!(2), json!(1000), json!(1e300), json!(0.5)];
    let giants = [json!(u64::MAX), json!(i64::MAX), json!(1_u64 << 32), json!(1_u64 << 40), json!(i64::MIN)];
    let others = [json!(null), json!([]), json!({}), json!(""), json!("inf"), json!(true), json!([[[]]])];
    extremes.into_iter().chain(giants).chain(others).collect()
}

/// The JSON pointers of all values in a value.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| pointers(inner, format!("{at}/{key}"), all));
        }
        Value::Array(items) => {
            let inner = items.iter().enumerate().take(3);
            inner.for_each(|(i, inner)| pointers(inner, format!("{at}/{i}"), all));
        }
        _ => {}
    }
    all.push(at);
}

/// Replaces every setting in the header.
fn settings_replaced(attacks: &mut Attacks, reader: &str, bytes: &[u8]) {
    let (header, _) = split(bytes);
    let text: Value = serde_json::from_str(header["__metadata__"]["mcnn"].as_str().unwrap()).unwrap();
    let mut all = Vec::new();
    pointers(&text, String::new(), &mut all);
    for pointer in &all {
        for value in replacements() {
            let mut text = text.clone();
            *text.pointer_mut(pointer).unwrap() = value.clone();
            attacks.file(reader, &format!("{pointer} = {value}"), &with_text(bytes, &text.to_string()));
        }
    }
    for text in ["", "\0", "{", "[]", "9e999", "{\"kind\":\"policy\",\"kind\":\"memories\",\"version\":1}"] {
        attacks.refused(reader, text, &with_text(bytes, text));
    }
    for open in ["[", "{\"a\":", "{\"backbone\":", "[[{\"origin\":"] {
        attacks.refused(reader, "deep nesting", &with_text(bytes, &open.repeat(200_000)));
    }
}

/// Changes the type, shape and offsets of every tensor, removes and repeats it, and sets values to NaN and infinity.
fn tensors_replaced(attacks: &mut Attacks, reader: &str, bytes: &[u8]) {
    let (header, payload) = split(bytes);
    let names: Vec<String> =
        header.as_object().unwrap().keys().filter(|k| *k != "__metadata__").cloned().collect();
    for name in names.iter().step_by(1 + names.len() / 24) {
        let tensor = &header[name];
        let mut changes = Vec::new();
        for dtype in ["F64", "F16", "BF16", "I32", "U32", "U8", "I64", "BOOL", "F8_E4M3", "F4", "Q", ""] {
            changes.push(("dtype", json!(dtype)));
        }
        let n = tensor["shape"].as_array().unwrap().iter().map(|d| d.as_u64().unwrap()).product::<u64>();
        for shape in [
            json!([]),
            json!([0]),
            json!([n]),
            json!([n, 1]),
            json!([1, n]),
            json!([1, 1, n]),
            json!([0, n]),
            json!([1_u64 << 63, 0]),
            json!([0, u64::MAX]),
            json!([1_u64 << 32, 1_u64 << 32]),
            json!([u64::MAX]),
            json!([-1]),
            json!(vec![1; 10_000]),
        ] {
            changes.push(("shape", shape));
        }
        let [start, end] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap());
        for places in [
            [start, u64::MAX],
            [end, start],
            [start.saturating_sub(4), end.saturating_sub(4)],
            [start + 4, end + 4],
            [start, start],
            [u64::MAX, u64::MAX],
            [0, 4 * n],
            [u64::MAX - 3, 4 * n],
        ] {
            changes.push(("data_offsets", json!(places)));
        }
        for (key, value) in changes {
            let mut header = header.clone();
            header[name][key] = value.clone();
            let value = value.to_string().chars().take(60).collect::<String>();
            attacks.file(reader, &format!("{name}: {key} = {value}"), &with_header(&header, payload));
            // The same for a tensor without data.
            header[name]["data_offsets"] = json!([start, start]);
            attacks.file(reader, &format!("{name}: {key} = {value}, empty"), &with_header(&header, payload));
        }
        let mut less = header.clone();
        less.as_object_mut().unwrap().remove(name);
        attacks.file(reader, &format!("no {name}"), &with_header(&less, payload));
        // Two tensors of the same name.
        let again =
            format!("{},\"{name}\":{tensor}}}", header.to_string().trim_end_matches('}').to_string() + "}");
        attacks.file(reader, &format!("{name} twice"), &joined(again.as_bytes(), payload));

        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE] {
            for at in [start, end.saturating_sub(4)] {
                if start + 4 > end || tensor["dtype"] != "F32" {
                    continue;
                }
                let mut payload = payload.to_vec();
                payload[at as usize..][..4].copy_from_slice(&value.to_le_bytes());
                let what = format!("{name} with {value:e} at {at}");
                let read = attacks.file(reader, &what, &with_header(&header, &payload));
                // An infinite standard deviation marks an ignored dimension.
                let may =
                    value.is_finite() || (name == "scale.std" && value > 0.0) || reader == "constraints";
                assert!(may || !read, "{reader}: {what}: it was read");
            }
        }
    }
    // Wrong lengths of the header, and other containers.
    for length in [0, 1, 7, 100_000_000, 100_000_001, u64::MAX, u64::MAX - 7, 1 << 63, bytes.len() as u64] {
        let mut bytes = bytes.to_vec();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        attacks.refused(reader, &format!("a header of {length} bytes"), &bytes);
    }
    for header in [&b"\xff\xfe{}"[..], b"{}", b"[]", b"null", b"{\"__metadata__\":{\"mcnn\":7}}"] {
        attacks.refused(reader, "a strange header", &joined(header, payload));
    }
    for open in ["[", "{\"a\":", "{\"__metadata__\":"] {
        attacks.refused(reader, "a deep header", &joined(open.repeat(200_000).as_bytes(), payload));
    }
}

fn all(attacks: &mut Attacks, architecture: usize) {
    let (name, backbone) = architectures()[architecture].clone();
    for (reader, bytes) in files(backbone) {
        if matches!(reader, "memories" | "constraints") && architecture > 0 {
            continue; // independent of the network
        }
        assert!(attacks.file(reader, "good", &bytes));
        settings_replaced(attacks, reader, &bytes);
        if reader == "policy" || architecture == 0 {
            tensors_replaced(attacks, reader, &bytes);
            random_damage(attacks, reader, &format!("{name} damaged"), &bytes, 400);
        }
    }
}

#[test]
fn perceptrons_and_memories() {
    in_limited_process("mcnn_files::perceptrons_and_memories", |attacks| all(attacks, 0));
}

#[test]
fn diffusion() {
    in_limited_process("mcnn_files::diffusion", |attacks| all(attacks, 1));
}

#[test]
fn transformers() {
    in_limited_process("mcnn_files::transformers", |attacks| all(attacks, 2));
}

#[test]
fn unets() {
    in_limited_process("mcnn_files::unets", |attacks| all(attacks, 3));
}

#[test]
fn networks_that_see_memories() {
    in_limited_process("mcnn_files::networks_that_see_memories", |attacks| all(attacks, 4));
}

#[test]
fn encoders() {
    in_limited_process("mcnn_files::encoders", |attacks| {
        let conv = Conv::new([9, 8], 3).unwrap();
        let training = Training {
            objective: Objective::Action,
            steps: 1,
            batch: 2,
            lr: 0.1,
            augment: 0,
            validation_fraction: 0.5,
            seed: 0,
            data: "none".into(),
        };
        let preset = "raw".parse().unwrap();
        let info = EncoderInfo { network: Design::Conv(conv), preset, training };
        let of = |(_, shape): (String, Vec<usize>)| vec![0.01; shape.into_iter().product()];
        let arrays: Vec<Vec<f32>> = conv.tensors().into_iter().map(of).collect();
        let folder = tempfile::tempdir().unwrap();
        write_encoder(&folder.path().join("e"), conv, &info, &arrays).unwrap();
        let bytes = std::fs::read(folder.path().join("e")).unwrap();
        assert!(attacks.file("encoder", "good", &bytes));
        settings_replaced(attacks, "encoder", &bytes);
        tensors_replaced(attacks, "encoder", &bytes);
        random_damage(attacks, "encoder", "damaged", &bytes, 1200);
        for network in
            ["resnet18", "conv:9x8:4", "conv:24x8:3", "conv:4096x4096:1024", "conv:8x", "conv:0x0:0"]
        {
            let text = with_text(&bytes, &serde_json::to_string(&json!(
                { "kind": "encoder", "version": 1, "network": network, "preset": "raw", "training": info.training }
            )).unwrap());
            attacks.refused("encoder", network, &text);
        }
    });
}

/// Short JSON that takes much memory: each `{"":0}` is a map.
#[test]
fn json_that_expands_in_memory() {
    in_limited_process("mcnn_files::json_that_expands_in_memory", |attacks| {
        // 28 MiB, and the maximum that is parsed.
        let many = [4 << 20, ((4 << 20) - 5000) / 7].map(|n| format!("[{}0]", "{\"\":0},".repeat(n)));
        for (reader, bytes) in files(Architecture::default()) {
            let (header, _) = split(&bytes);
            let text = header["__metadata__"]["mcnn"].as_str().unwrap().trim_end_matches('}').to_string();
            let closing = "}".repeat(header["__metadata__"]["mcnn"].as_str().unwrap().len() - text.len());
            for (key, many) in ["settings", "anything"].iter().flat_map(|k| many.iter().map(move |m| (k, m)))
            {
                let inner = format!("{text}{},\"{key}\":{many}}}", &closing[1..]);
                attacks.file(reader, &format!("{key} of many maps"), &with_text(&bytes, &inner));
            }
        }
    });
}

/// Replaces the optimizer state in a checkpoint.
#[test]
fn optimizer_states_of_other_networks_and_steps() {
    in_limited_process("mcnn_files::optimizer_states_of_other_networks_and_steps", |attacks| {
        for (name, backbone) in architectures() {
            let mut run = Run::new(&data(), codebook(), settings(backbone.clone())).unwrap();
            let before = run.checkpoint().unwrap().members.swap_remove(0).moments;
            run.step();
            let good = run.checkpoint().unwrap();
            let with = |step: u64, moments: &Moments| {
                let mut checkpoint = Checkpoint { step, ..good.clone() };
                // The state of the second member is that of the first, so that both or neither fit.
                checkpoint.members.iter_mut().for_each(|member| member.moments = moments.clone());
                checkpoint
            };
            let trained = good.members[0].moments.clone();
            let resumes = |step: u64, moments: &Moments| {
                let checkpoint = with(step, moments);
                file::checkpoint_from_bytes(&file::checkpoint_to_bytes(&checkpoint))
                    .and_then(|checkpoint| {
                        Run::resume(&data(), codebook(), settings(backbone.clone()), checkpoint)
                    })
                    .is_ok()
            };
            assert!(resumes(1, &trained) && resumes(0, &before) && !resumes(0, &trained), "{name}");
            let damaged = |damage: &dyn Fn(&mut Moments)| {
                let mut moments = trained.clone();
                damage(&mut moments);
                moments
            };
            for (what, moments) in [
                ("short", damaged(&|m| m.mean.truncate(2))),
                ("long", damaged(&|m| m.square.push(0.0))),
                ("none", Moments { mean: vec![], square: vec![] }),
                ("NaN", damaged(&|m| m.mean[3] = f32::NAN)),
                ("infinite", damaged(&|m| m.square[0] = f32::INFINITY)),
                ("a negative square", damaged(&|m| m.square[1] = -1e-9)),
            ] {
                assert!(!resumes(1, &moments), "{name}: {what}");
                let checkpoint = with(1, &moments);
                attacks.file(
                    "checkpoint",
                    &format!("{name}, {what}"),
                    &file::checkpoint_to_bytes(&checkpoint),
                );
            }
        }
    });
}
