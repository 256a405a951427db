//! Recordings of frames in every form (python/tests/make_frame_files.py), and embedding them. `MCNN_TEST_PYTHON` names a
//! Python with h5py, numpy and Pillow; without it the tests that need it say so and pass.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use mcnn::{
    data::{ActionRange, Demonstrations, ReadOptions, read},
    vision::{
        BatchEmbed, Design, Embedded, Encoding, Network, ResNet, Source, SourceOptions, Weights, embed, load,
        part_of, size,
    },
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Manifest {
    good: BTreeMap<String, Expected>,
    broken: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Expected {
    size: [usize; 2],
    frames: Vec<f32>,
    actions: Vec<f32>,
    ends: Vec<usize>,
    rewards: Option<Vec<f32>>,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    near: f32,
    /// Words of the notes and warnings.
    #[serde(default)]
    says: Vec<String>,
}

fn files() -> Option<(tempfile::TempDir, Manifest)> {
    let Some(python) = std::env::var_os("MCNN_TEST_PYTHON") else {
        let why = b"SKIPPED (vision_embed): set MCNN_TEST_PYTHON to a Python with h5py, numpy and Pillow\n";
        let _ = std::io::stderr().write_all(why);
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/tests/make_frame_files.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = fs::read(folder.path().join("manifest.json")).unwrap();
    Some((folder, serde_json::from_slice(&manifest).unwrap()))
}

/// All frames from index `from` on, with values from 0 to 255.
fn frames(source: &mut Source, from: usize) -> mcnn::Result<(Option<[usize; 2]>, Vec<f32>)> {
    let (mut all, mut size) = (Vec::new(), None);
    source.read_frames(from, &mut |frames| {
        let [frames] = frames else { panic!("one camera") };
        size = Some(frames.size);
        all.extend(frames.pixels.iter().map(|v| v / frames.full * 255.0));
        Ok(true)
    })?;
    Ok((size, all))
}

#[test]
fn recordings_of_every_form_give_their_frames_and_what_was_done() {
    let Some((folder, manifest)) = files() else { return };
    for (name, expected) in &manifest.good {
        let options = SourceOptions {
            size: expected.options.get("size").map(|text| size(text).unwrap()),
            layout: expected.options.get("layout").map(|text| text.parse().unwrap()),
            cameras: expected.options.get("key").cloned().into_iter().collect(),
            ..SourceOptions::default()
        };
        let mut source =
            Source::open(&folder.path().join(name), &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(source.labels.actions.len(), expected.actions.len(), "{name}");
        for (found, expected) in source.labels.actions.iter().zip(&expected.actions) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found}, not {expected}");
        }
        let said = [source.notes.clone(), source.warnings.clone()].concat().join("; ");
        assert!(
            expected.says.iter().all(|part| said.contains(part)),
            "{name}: {:?} in {said}",
            expected.says
        );
        assert_eq!(source.labels.ends, expected.ends, "{name}");
        assert_eq!(source.labels.rewards, expected.rewards, "{name}");
        for from in [0, 1, 11, source.n] {
            let (found, pixels) = frames(&mut source, from).unwrap();
            let each = expected.size[0] * expected.size[1] * 3;
            assert!(found.is_none_or(|found| found == expected.size), "{name}");
            let rest = &expected.frames[from * each..];
            assert_eq!(pixels.len(), rest.len(), "{name} from {from}");
            let worst = pixels.iter().zip(rest).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst <= expected.near.max(1e-4), "{name} from {from}: off by {worst}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_recording_is_told_with_its_place() {
    let Some((folder, manifest)) = files() else { return };
    for (name, words) in &manifest.broken {
        let opened = Source::open(&folder.path().join(name), &SourceOptions::default());
        let error = opened.and_then(|mut source| frames(&mut source, 0)).expect_err(name).to_string();
        for word in words.iter().chain([name]) {
            assert!(error.contains(word.as_str()), "{name}: {word:?} is not in\n{error}");
        }
    }
    // Where the first frames are dark, white is not known.
    let dark = folder.path().join("dark.npz");
    let options = SourceOptions { range: Some("255".parse().unwrap()), ..SourceOptions::default() };
    assert!(frames(&mut Source::open(&dark, &options).unwrap(), 0).is_ok());
    let options = SourceOptions { range: Some("1".parse().unwrap()), ..SourceOptions::default() };
    let error = frames(&mut Source::open(&dark, &options).unwrap(), 0).unwrap_err().to_string();
    assert!(error.contains("--pixel-max 255"), "{error}");
    // The columns of a list, by name.
    let options = SourceOptions { actions: vec!["Throttle".into()], ..SourceOptions::default() };
    assert_eq!(Source::open(&folder.path().join("pngs"), &options).unwrap().labels.n_act, 1);
    let options = SourceOptions { actions: vec!["brake".into()], ..SourceOptions::default() };
    let error = Source::open(&folder.path().join("pngs"), &options).err().unwrap().to_string();
    assert!(error.contains("brake") && error.contains("steering"), "{error}");
}

struct Bench {
    network: Network,
    encoding: Encoding,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let (network, found) =
            load(&Weights::Random(1), Some(ResNet::ResNet18.into()), &mut |_, _| ()).unwrap();
        let encoding = Encoding {
            network: network.design(),
            weights: found.weights,
            preset: "raw".parse().unwrap(),
            size: None,
            cameras: Vec::new(),
            state: None,
        };
        Self { network, encoding, folder: tempfile::tempdir().unwrap() }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Embeds, stopping when `stop` frames are done.
    fn embed(&self, data: &Path, out: &Path, stop: usize) -> mcnn::Result<Option<Embedded>> {
        let mut source = Source::open(data, &SourceOptions::default())?;
        embed(&mut source, &self.network, &self.encoding, ActionRange::Refuse, out, &mut |done| done < stop)
    }
}

/// An `.npz` of more frames than are embedded at once, some of which stand still.
fn many(path: &Path, n: usize) {
    let frame = 4 * 4 * 3;
    let still = |i: usize| if (300..305).contains(&i) { 300 } else { i };
    let pixels: Vec<u8> =
        (0..n).flat_map(|i| (0..frame).map(move |k| ((still(i) * 31 + k * 7) % 251) as u8)).collect();
    let actions: Vec<u8> = (0..n).flat_map(|i| ((i % 9) as f32 / 10.0).to_le_bytes()).collect();
    let ends: Vec<u8> = [302_i64, n as i64].iter().flat_map(|e| e.to_le_bytes()).collect();
    let array = |kind: &str, shape: String, data: &[u8]| {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    };
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in [
        ("frames", array("|u1", format!("{n}, 4, 4, 3"), &pixels)),
        ("actions", array("<f4", format!("{n}, 1"), &actions)),
        ("episode_ends", array("<i8", "2,".into(), &ends)),
    ] {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn states(path: &Path) -> Demonstrations {
    read(path, &ReadOptions::default()).unwrap()
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    let bench = Bench::new();
    let data = bench.out("data.npz");
    many(&data, 1000);
    let (whole, broken) = (bench.out("whole.npz"), bench.out("broken.npz"));
    let embedded = bench.embed(&data, &whole, usize::MAX).unwrap().unwrap();
    // Frames 300 to 304 are one frame, but an episode ends at 302.
    assert_eq!((embedded.still, embedded.longest_still, embedded.still_at), (3, 3, 302));
    assert!(!part_of(&whole).exists());

    assert_eq!(bench.embed(&data, &broken, 1).unwrap(), None);
    assert!(!broken.exists() && part_of(&broken).exists());
    // Half a row is what a killed process leaves.
    let mut part = fs::OpenOptions::new().append(true).open(part_of(&broken)).unwrap();
    part.write_all(b"abc").unwrap();
    drop(part);
    let resumed = bench.embed(&data, &broken, usize::MAX).unwrap().unwrap();
    assert_eq!(resumed.resumed_from, 256);
    assert_eq!(fs::read(&whole).unwrap(), fs::read(&broken).unwrap());

    let found = states(&whole);
    assert_eq!((found.n_steps(), found.n_obs(), found.n_act()), (1000, 512, 1));
    assert_eq!(found.ends(), [302, 1000]);
    let mut alone = vec![0.0; 512];
    let frame: Vec<f32> = (0..48).map(|k| ((777 * 31 + k * 7) % 251) as f32 / 255.0).collect();
    bench.network.embed(&frame, [4, 4], &mut alone);
    assert_eq!(found.state(777), alone);
}

#[test]
fn a_run_goes_on_only_with_what_it_was_started_with() {
    let mut bench = Bench::new();
    let (data, out) = (bench.out("data.npz"), bench.out("out.npz"));
    many(&data, 600);
    bench.embed(&data, &out, 1).unwrap();
    bench.encoding.preset = "normalized".parse().unwrap();
    let error = bench.embed(&data, &out, usize::MAX).unwrap_err().to_string();
    for part in ["out.npz.part", "something else", "raw", "normalized", "--force"] {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }
    bench.encoding.preset = "raw".parse().unwrap();
    // Nor where the same numbers are read as other frames.
    let mut source = Source::open(&data, &SourceOptions::default()).unwrap();
    source.notes = vec!["bytes from 0 to 255, 4 x 4 pixels, channel, height, width".into()];
    let dark = embed(&mut source, &bench.network, &bench.encoding, ActionRange::Refuse, &out, &mut |_| true);
    assert!(dark.unwrap_err().to_string().contains("something else"));
    many(&data, 601);
    assert!(bench.embed(&data, &out, usize::MAX).unwrap_err().to_string().contains("something else"));
    // Nor beside another process.
    let locked = fs::File::open(part_of(&out)).unwrap();
    locked.lock().unwrap();
    assert!(bench.embed(&data, &out, usize::MAX).unwrap_err().to_string().contains("another process"));
}

/// A device that gives the processor's embeddings with their signs changed, and fails after some frames.
struct Other<'a> {
    network: &'a Network,
    left: std::cell::Cell<usize>,
}

impl BatchEmbed for Other<'_> {
    fn design(&self) -> Design {
        self.network.design()
    }

    fn device(&self) -> Option<String> {
        Some("another device".into())
    }

    fn embed_batch(&self, frames: &[f32], size: [usize; 2], to: &mut [f32]) -> mcnn::Result<()> {
        let left = self.left.get().checked_sub(to.len() / 512);
        self.left.set(left.ok_or_else(|| mcnn::Error::new(mcnn::error::Kind::Settings, "it failed"))?);
        self.network.embed(frames, size, to);
        to.iter_mut().for_each(|v| *v = -*v);
        Ok(())
    }
}

#[test]
fn a_recording_is_embedded_on_one_device_which_may_fail() {
    let bench = Bench::new();
    let (data, out) = (bench.out("data.npz"), bench.out("out.npz"));
    many(&data, 1000);
    let on_other = |left| {
        let other = Other { network: &bench.network, left: std::cell::Cell::new(left) };
        let mut source = Source::open(&data, &SourceOptions::default()).unwrap();
        embed(&mut source, &other, &bench.encoding, ActionRange::Refuse, &out, &mut |_| true)
    };
    assert!(on_other(255).unwrap_err().to_string().contains("it failed"));
    assert!(!part_of(&out).exists());
    assert!(on_other(300).unwrap_err().to_string().contains("it failed"));
    // What was embedded on another device is not continued here.
    let error = bench.embed(&data, &out, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("something else") && error.contains("another device"), "{error}");
    assert_eq!(on_other(744).unwrap().unwrap().resumed_from, 256);

    let here = bench.out("here.npz");
    bench.embed(&data, &here, usize::MAX).unwrap().unwrap();
    let (found, expected) = (states(&out), states(&here));
    assert!((0..1000).all(|i| found.state(i).iter().zip(&*expected.state(i)).all(|(a, b)| *a == -b)));
    // The device is not part of the encoding: memories of one can be compared with states of the other.
    assert_eq!(found.encoding(), expected.encoding());
    bench.embed(&data, &bench.out("half.npz"), 1).unwrap();
    fs::rename(part_of(&bench.out("half.npz")), part_of(&out)).unwrap();
    assert!(on_other(usize::MAX).unwrap_err().to_string().contains("something else"));
}

#[test]
fn frames_of_different_sizes_need_a_preset_that_brings_them_to_one() {
    let Some((folder, _)) = files() else { return };
    let mut bench = Bench::new();
    let (data, out) = (folder.path().join("mixed"), bench.out("out.npz"));
    let error = bench.embed(&data, &out, usize::MAX).unwrap_err().to_string();
    for part in ["009.png", "different sizes", "8 x 8", "6 x 10", "--preset raw:HEIGHTxWIDTH"] {
        assert!(error.contains(part), "{part:?} is not in\n{error}");
    }
    assert!(!part_of(&out).exists(), "nothing was embedded, and nothing is there to go on with");
    bench.encoding.preset = "raw:8x8".parse().unwrap();
    bench.embed(&data, &out, usize::MAX).unwrap().unwrap();
    assert_eq!(states(&out).n_steps(), 30);
}

#[test]
fn actions_are_checked_before_the_frames_are_looked_at() {
    let Some((folder, _)) = files() else { return };
    let bench = Bench::new();
    let mut source = Source::open(&folder.path().join("carla.hdf5"), &SourceOptions::default()).unwrap();
    let mut run = |action: f32, range, out: &str| {
        source.labels.actions[5] = action;
        embed(&mut source, &bench.network, &bench.encoding, range, &bench.out(out), &mut |_| true)
    };
    let error = run(f32::NAN, ActionRange::Refuse, "a.npz").unwrap_err().to_string();
    assert!(error.contains("actions, step 2"), "{error}");
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 0);
    run(1.5, ActionRange::Clip, "b.npz").unwrap().unwrap();
    assert_eq!(states(&bench.out("b.npz")).action(2)[1], 1.0);
    // Actions in other units stay as they are; they are scaled when a policy is trained on them.
    run(1.5, ActionRange::Refuse, "c.npz").unwrap().unwrap();
    assert!((states(&bench.out("c.npz")).action_in_data_units(2)[1] - 1.5).abs() < 1e-6);
}
