//! Recordings of robots with cameras against what the formats' own libraries and other decoders give (python/tests/make_camera_files.py).
//! `MCNN_TEST_PYTHON` names a Python with h5py, zarr, pyarrow, Pillow, PyAV and imageio-ffmpeg; without it these tests say so and pass.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use mcnn::{
    data::{ActionRange, ReadOptions, Selection, read},
    encoder::RecordedFrames,
    vision::{Encoder, Encoding, Source, SourceOptions, Weights, embed, load, tensors_of},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    good: BTreeMap<String, Vec<Expected>>,
    broken: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Expected {
    cameras: Vec<String>,
    sizes: Vec<[usize; 2]>,
    file: String,
    near: f32,
    actions: Vec<f32>,
    ends: Vec<usize>,
    states: Option<Vec<f32>>,
    episodes: Option<Vec<u32>>,
    options: BTreeMap<String, Vec<String>>,
}

pub fn skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("SKIPPED (camera_recordings): {why}\n").as_bytes());
}

fn python() -> Option<PathBuf> {
    let python = std::env::var_os("MCNN_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        skipped("set MCNN_TEST_PYTHON to a Python with the packages for tests of python/requirements.txt");
    }
    python
}

/// The program ffmpeg: the one on the PATH, or that of imageio-ffmpeg.
pub fn ffmpeg() -> mcnn::Result<PathBuf> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        if Command::new("ffmpeg").arg("-version").output().is_ok_and(|run| run.status.success()) {
            return "ffmpeg".into();
        }
        let script = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
        let output = Command::new(python().unwrap()).args(["-c", script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().into()
    };
    Ok(FOUND.get_or_init(find).clone())
}

fn recordings() -> Option<(tempfile::TempDir, Manifest)> {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/tests/make_camera_files.py");
    let output =
        Command::new(python()?).args(["-W", "ignore"]).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
    Some((folder, serde_json::from_slice(&manifest).unwrap()))
}

fn options(cameras: Vec<String>, episodes: Option<&[u32]>, with_state: bool) -> SourceOptions {
    let episodes = episodes.unwrap_or_default().chunks(2).map(|pair| pair[0]..=pair[1]).collect();
    SourceOptions {
        cameras,
        with_state,
        selection: Selection { episodes, ..Selection::default() },
        ffmpeg: Some(ffmpeg),
        ..SourceOptions::default()
    }
}

/// All frames from step `from` on, of each camera, with values from 0 to 255.
fn frames(source: &mut Source, from: usize) -> mcnn::Result<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); source.cameras.len()];
    source.read_frames(from, &mut |frames| {
        for (all, frames) in all.iter_mut().zip(frames) {
            all.extend(frames.pixels.iter().map(|v| v / frames.full * 255.0));
        }
        Ok(true)
    })?;
    Ok(all)
}

#[test]
fn frames_of_all_cameras_are_those_that_other_decoders_give() {
    let Some((folder, manifest)) = recordings() else { return };
    assert!(manifest.good.len() > 15, "{}", manifest.good.len());
    for (name, cases) in &manifest.good {
        for expected in cases {
            let asked = expected.options.get("asked").cloned().unwrap_or_default();
            let options = options(asked, expected.episodes.as_deref(), expected.states.is_some());
            let mut source =
                Source::open(&folder.path().join(name), &options).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(source.cameras, expected.cameras, "{name}");
            assert_eq!(source.sizes, expected.sizes.iter().copied().map(Some).collect::<Vec<_>>(), "{name}");
            assert_eq!((&source.labels.actions, &source.labels.ends), (&expected.actions, &expected.ends));
            if let Some(states) = &expected.states {
                assert_eq!((&source.labels.states, source.n_state()), (states, 3), "{name}");
            } else {
                assert_eq!(source.n_state(), 0, "{name}");
            }
            let bytes = fs::read(folder.path().join(&expected.file)).unwrap();
            for from in [0, 5, source.n - 1, source.n] {
                let found = frames(&mut source, from).unwrap_or_else(|e| panic!("{name}: {e}"));
                let mut left = &bytes[..];
                for (camera, (found, [height, width])) in found.iter().zip(&expected.sizes).enumerate() {
                    let each = height * width * 3;
                    let (own, rest) = left.split_at(each * source.n);
                    left = rest;
                    assert_eq!(found.len(), each * (source.n - from), "{name}, camera {camera} from {from}");
                    let far = |(a, b): (&f32, &u8)| (a - f32::from(*b)).abs();
                    let worst = found.iter().zip(&own[from * each..]).map(far).fold(0.0, f32::max);
                    let near = expected.near + 1e-3;
                    assert!(worst <= near, "{name}, camera {camera} from {from}: off by {worst}");
                }
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_recording_of_cameras_is_told_with_its_place() {
    let Some((folder, manifest)) = recordings() else { return };
    assert!(manifest.broken.len() > 15, "{}", manifest.broken.len());
    let refused = |name: &str, options: &SourceOptions| {
        let opened = Source::open(&folder.path().join(name), options);
        let error = opened.and_then(|mut source| frames(&mut source, 0)).map(drop).expect_err(name);
        error.to_string()
    };
    for (name, words) in &manifest.broken {
        let error = refused(name, &options(Vec::new(), None, false));
        for word in words.iter().chain([name]) {
            assert!(error.contains(word.as_str()), "{name}: {word:?} is not in\n{error}");
        }
    }
    let of = |camera: &str| options(camera.split(',').map(str::to_owned).collect(), None, false);
    for (name, camera, words) in [
        ("two", "observation.images.tip", &["missing key", "observation.images.top"][..]),
        ("two", "observation.state", &["not camera frames", "observation.images.wrist"]),
        ("two", "observation.images.depth", &["not camera frames"]),
        ("two", "observation.images.top,observation.images.top", &["named twice"]),
        ("v2.zarr", "action", &["not camera frames", "img"]),
        ("image.hdf5", "depth", &["not camera frames", "agentview_image"]),
    ] {
        let error = refused(name, &of(camera));
        for word in words.iter().chain([&name]) {
            assert!(error.contains(word), "{name}: {word:?} is not in\n{error}");
        }
    }
    let none =
        SourceOptions { ffmpeg: Some(|| Ok("/nowhere/ffmpeg".into())), ..options(Vec::new(), None, false) };
    let error = refused("two", &none);
    assert!(error.contains("no ffmpeg") && error.contains("install ffmpeg"), "{error}");
}

/// The encoding of a recording by a small network with random weights, and the demonstrations of its embeddings.
fn embedded(folder: &Path, name: &str, with_state: bool) -> (Encoding, mcnn::data::Demonstrations) {
    let mut source = Source::open(&folder.join(name), &options(Vec::new(), None, with_state)).unwrap();
    let network = "conv:16x16:5".parse().unwrap();
    let (network, found) = load(&Weights::Random(3), Some(network), &mut |_, _| ()).unwrap();
    let encoding = Encoding::new(network.design(), found.weights, "raw:16x16".parse().unwrap(), &source);
    let output = folder.join(format!("embedded-{name}-{with_state}.npz"));
    // Interrupted after the first batch, and resumed.
    embed(&mut source, &network, &encoding, ActionRange::Refuse, &output, &mut |_| false).unwrap();
    embed(&mut source, &network, &encoding, ActionRange::Refuse, &output, &mut |_| true).unwrap().unwrap();
    (encoding, read(&output, &ReadOptions::default()).unwrap())
}

#[test]
fn embeddings_of_several_cameras_are_joined_with_the_state_and_acting_does_the_same() {
    let Some((folder, manifest)) = recordings() else { return };
    for (name, case) in [("v2.zarr", 0), ("image.hdf5", 0), ("pictures-v3.0", 0)] {
        let expected = &manifest.good[name][case];
        let (encoding, data) = embedded(folder.path(), name, true);
        assert_eq!((data.n_obs(), encoding.width(), encoding.n_state()), (2 * 5 + 3, 13, 3), "{name}");
        assert_eq!(data.encoding().map(|text| Encoding::parse(text).unwrap()), Some(encoding.clone()));
        let states = expected.states.as_ref().unwrap();
        let named = data.names().state_names.as_ref();
        let last = named.map(|names| names[9..].join(" "));
        let is_named = name == "pictures-v3.0"; // the others have no names of dimensions
        assert_eq!(last, is_named.then(|| "embedding:9 x y z".to_owned()), "{name}");
        let bytes = fs::read(folder.path().join(&expected.file)).unwrap();
        let [top, wrist] = [48 * 64 * 3, 32 * 32 * 3];
        let weights = tensors_of(&Weights::Random(3), &encoding, &mut |_, _| ()).unwrap();
        let encoder = Encoder::new(encoding, &weights, [48, 64]).unwrap();
        assert_eq!((encoder.n_obs(), encoder.width()), (top + wrist + 3, 13));
        let mut embedder = encoder.embedder();
        for step in 0..data.n_steps() {
            let frames =
                [&bytes[step * top..][..top], &bytes[top * data.n_steps() + step * wrist..][..wrist]]
                    .concat();
            let mut observation: Vec<f32> = frames.into_iter().map(f32::from).collect();
            observation.extend(&states[3 * step..][..3]);
            assert_eq!(embedder.embed(&observation).unwrap(), &data.state(step)[..], "{name}, step {step}");
            assert_eq!(&data.state(step)[10..], &states[3 * step..][..3]);
        }
        let error = embedder.embed(&vec![0.0; top]).unwrap_err().to_string();
        assert!(error.contains("48 x 64 x 3 + 32 x 32 x 3 values and 3 of the state"), "{error}");
        assert!(Encoder::new(encoder.encoding().clone(), &weights, [48, 48]).is_err());
        let (without, data) = embedded(folder.path(), name, false);
        assert_eq!((data.n_obs(), without.n_state()), (10, 0));
    }
}

#[test]
fn an_encoder_is_trained_on_the_frames_of_all_cameras() {
    let Some((folder, manifest)) = recordings() else { return };
    let expected = &manifest.good["v2.zarr"][0];
    let mut source = Source::open(&folder.path().join("v2.zarr"), &options(Vec::new(), None, false)).unwrap();
    let preset = "raw:16x16".parse().unwrap();
    let read =
        RecordedFrames::read(&mut source, preset, ActionRange::Refuse, &mut |_| true).unwrap().unwrap();
    let n = expected.ends[2];
    assert_eq!((read.cameras, read.len(), read.frames.len()), (2, 2 * n, 2 * n * 16 * 16 * 3));
    assert_eq!(read.ends, expected.ends.iter().map(|end| 2 * end).collect::<Vec<_>>());
    assert_eq!((&read.actions[2..4], &read.actions[4..6]), (&expected.actions[..2], &expected.actions[2..4]));
}

#[test]
fn the_states_of_a_file_with_frames_and_states_are_joined_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.npz");
    let script = r#"
import sys, numpy as np
n = 9
np.savez(sys.argv[1], frames=np.arange(n * 48, dtype="u1").reshape(n, 4, 4, 3), states=np.arange(2 * n, dtype="f4").reshape(n, 2),
         actions=np.zeros((n, 1), "f4"), episode_ends=[4, n], state_names=["x", "y"])
"#;
    let Some(python) = python() else { return };
    assert!(Command::new(python).args(["-c", script]).arg(&path).status().unwrap().success());
    let open = |with_state, state: &[&str]| {
        let selection = Selection {
            state: state.iter().map(|key| key.parse().unwrap()).collect(),
            ..Selection::default()
        };
        Source::open(&path, &SourceOptions { with_state, selection, ..SourceOptions::default() })
    };
    let source = open(true, &[]).unwrap();
    assert_eq!(
        (source.n_state(), &source.cameras[..], &source.state_keys[..]),
        (2, &["frames".to_owned()][..], &["states".to_owned()][..])
    );
    assert_eq!(
        (&source.labels.states[2..4], source.names.state_names.unwrap().join(" ")),
        (&[2.0, 3.0][..], "x y".into())
    );
    assert_eq!(open(true, &["states:1"]).unwrap().labels.states[..3], [1.0, 3.0, 5.0]);
    let action = Selection { action: vec!["states:1".parse().unwrap()], ..Selection::default() };
    let options =
        SourceOptions { cameras: vec!["frames".into()], selection: action, ..SourceOptions::default() };
    let source = Source::open(&path, &options).unwrap();
    assert_eq!((source.n_state(), &source.labels.actions[..3]), (0, &[1.0, 3.0, 5.0][..]));
    let error = open(false, &[]).err().unwrap().to_string();
    assert!(error.contains("several arrays of observations") && error.contains("--with-state"), "{error}");
    let error = open(true, &["speed"]).err().unwrap().to_string();
    assert!(error.contains("speed") && error.contains("the keys"), "{error}");
}
