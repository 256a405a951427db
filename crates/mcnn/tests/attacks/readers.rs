//! The readers. Every value that is read without an error is used, and must work.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use mcnn::{
    Result,
    act::Act,
    data::{
        ReadOptions, Selection, has_cameras, inspect, read as read_demonstrations, read_parts,
        read_simulator, stream,
    },
    expert::GaussianPolicy,
    file,
    memory::Codebook,
    policy::Policy,
    seed::Seed,
    train::Run,
    vision::{Source, SourceOptions, Weights, load},
};

/// Readers of datasets that are folders: the name, the zip of `tests/fixtures` with the dataset, its folder, and the file in it that
/// the attacked one takes the place of.
pub const IN_FOLDERS: [(&str, &str, &str, &str); 10] = [
    ("lerobot", "lerobot", "arm-v3.0", "data/chunk-000/file-000.parquet"),
    ("lerobot_episodes", "lerobot", "arm-v3.0", "meta/episodes/chunk-000/file-000.parquet"),
    ("lerobot_info", "lerobot", "world-v2.1", "meta/info.json"),
    ("lerobot_video", "video", "two", "videos/observation.images.top/chunk-000/file-000.mp4"),
    ("lerobot_places", "video", "two", "meta/episodes/chunk-000/file-000.parquet"),
    ("lerobot_lines", "lerobot", "world-v2.1", "meta/episodes.jsonl"),
    ("minari", "minari", "mixed/parquet-v0", "data/0/part-0.parquet"),
    ("minari_arrow", "minari", "mixed/arrow-v0", "data/0/part-0.arrow"),
    ("minari_hdf5", "minari", "matrix/hdf5-v0", "data/main_data.hdf5"),
    ("minari_metadata", "minari", "mixed/parquet-v0", "data/metadata.json"),
];

/// The dataset of such a reader, in a folder beside `path` whose name begins with that of `path`.
pub fn folder_of(path: &Path, reader: &str, zip: &str, dataset: &str) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    let folder = path.with_file_name(format!("{name}-{reader}"));
    if !folder.exists() {
        let zip = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{zip}/datasets.zip"));
        let all = path.with_file_name(format!("all-{reader}"));
        zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap().extract(&all).unwrap();
        std::fs::rename(all.join(dataset), &folder).unwrap();
    }
    folder
}

/// Reads a file with the named reader and uses the value.
pub fn read(reader: &str, path: &Path) -> Result<()> {
    if let Some((_, zip, dataset, file)) = IN_FOLDERS.iter().find(|(name, ..)| *name == reader) {
        let folder = folder_of(path, reader, zip, dataset);
        std::fs::copy(path, folder.join(file)).unwrap();
        return if *zip == "video" { cameras(&folder) } else { demonstrations(&folder) };
    }
    match reader {
        "demonstrations" => demonstrations(path),
        "columns" => columns(path),
        "mcap" => {
            let keys = |key: &str| vec![key.parse().unwrap()];
            let (state, action) = (keys("/joint_states.position"), keys("/odd.parts"));
            of_keys(path, Selection { state, action, hz: Some(50.0), ..Selection::default() })
        }
        "expert" => expert(&GaussianPolicy::read(path)?),
        "memories" => {
            memories(&file::read_codebook(path)?);
            Ok(())
        }
        "policy" => {
            let constraints = file::read_constraint_set(path);
            let (policy, _) = file::read_policy(path)?;
            assert!(constraints.is_ok(), "a policy is valid, and its constraint set is not");
            act(&policy);
            Ok(())
        }
        "constraints" => {
            memories(&file::read_constraint_set(path)?.0.codebook);
            Ok(())
        }
        "checkpoint" => {
            let checkpoint = file::read_checkpoint(path)?;
            // A run resumes only from a matching checkpoint; refusing others is not the task of the reader.
            let settings = checkpoint.settings.clone();
            if settings == super::mcnn_files::settings(settings.backbone.clone())
                && let Ok(mut run) = Run::resume(
                    &super::mcnn_files::data(),
                    super::mcnn_files::codebook(),
                    settings,
                    checkpoint,
                )
            {
                run.step();
            }
            Ok(())
        }
        "encoder" => encoder(path),
        other => panic!("no reader is called {other}"),
    }
}

fn demonstrations(path: &Path) -> Result<()> {
    of_keys(path, Selection::default())
}

/// Reads demonstrations whole and piece by piece, which is to be the same.
fn columns(path: &Path) -> Result<()> {
    let options = ReadOptions::default();
    let streamed = stream(path, &options);
    let whole = demonstrations(path).and_then(|()| read_demonstrations(path, &options));
    match (&streamed, &whole) {
        (Ok(Some(found)), Ok(whole)) => {
            assert_eq!((found.data.states(), found.data.actions()), (whole.states(), whole.actions()));
            found.data.check_readable()?;
        }
        (Err(e), Err(other)) => assert_eq!(e.to_string(), other.to_string()),
        _ => assert!(whole.is_err(), "one is read, and one is not"),
    }
    whole.map(|_| ())
}

fn of_keys(path: &Path, selection: Selection) -> Result<()> {
    let simulator = read_simulator(path);
    let parts = read_parts(path, &selection);
    if let (Ok(_), Err(e)) = (&parts, &simulator) {
        assert!(e.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{e}");
    }
    // Frames and numbers may be damaged each by themselves.
    if parts.is_ok() && has_cameras(path) == Ok(true) {
        let _ = cameras(path);
    }
    let (_, parts) = parts?;
    parts.check().expect("the parts that were read are consistent");
    let _ = inspect(path, &selection);
    let data = read_demonstrations(path, &ReadOptions { selection, ..ReadOptions::default() })?;
    assert_eq!(data.states().len(), data.n_steps() * data.n_obs());
    assert!(data.states().iter().all(|v| v.is_finite()) && data.actions().iter().all(|a| a.abs() <= 1.0));
    Ok(())
}

/// Reads all frames of a recording of cameras.
fn cameras(folder: &Path) -> Result<()> {
    let options = SourceOptions { with_state: true, ffmpeg: Some(ffmpeg), ..SourceOptions::default() };
    let mut source = Source::open(folder, &options)?;
    let mut steps = 0;
    source.read_frames(0, &mut |frames| {
        steps += frames[0].len();
        let is_pixel = |v: &f32| (0.0..=255.0).contains(v);
        assert!(frames.iter().all(|frames| frames.pixels.iter().all(is_pixel)));
        Ok(true)
    })?;
    assert_eq!(steps, source.n);
    Ok(())
}

/// The program ffmpeg: the one on the PATH, or that of imageio-ffmpeg in the Python that MCNN_TEST_PYTHON names.
pub fn ffmpeg() -> Result<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let output = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let find = || {
        let script = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
        output(Path::new("ffmpeg"), &["-version"]).map(|_| "ffmpeg".into()).or_else(|| {
            let python = std::env::var_os("MCNN_TEST_PYTHON")?;
            output(Path::new(&python), &["-c", script]).map(PathBuf::from)
        })
    };
    FOUND.get_or_init(find).clone().ok_or_else(|| mcnn::Error::new(mcnn::error::Kind::File, "no ffmpeg"))
}

fn encoder(path: &Path) -> Result<()> {
    let (network, found) = load(&Weights::File(path.to_owned()), None, &mut |_, _| ())?;
    let Some(info) = found.encoder else { return Ok(()) };
    let [height, width] = info.network.frame().expect("an encoder takes frames of one size");
    let mut out = vec![0.0; 2 * network.width()];
    network.embed(&vec![0.5; 2 * height * width * 3], [height, width], &mut out);
    Ok(())
}

fn expert(expert: &GaussianPolicy) -> Result<()> {
    let mut action = vec![0.0; expert.n_act()];
    expert.start(Seed(1)).act(&vec![0.5; expert.n_obs()], &mut action)?;
    assert!(action.iter().all(|a| a.abs() <= 1.0), "the action {action:?}");
    Ok(())
}

fn memories(codebook: &Codebook) {
    for i in 0..codebook.len() {
        assert!(codebook.action(i).iter().all(|a| a.abs() <= 1.0));
        let (_, _, _) = (codebook.state(i), codebook.source(i), codebook.horizon());
    }
}

/// Lets a policy act: an error, or actions up to L, or up to 1 if L is smaller.
fn act(policy: &Policy) {
    memories(policy.codebook());
    let mut session = policy.session();
    let mut action = vec![0.0; policy.codebook().n_act()];
    for scale in [0.0_f32, 1.0, 1e6] {
        let state = vec![scale; policy.codebook().n_obs()];
        if session.act(&state, &mut action).is_ok() {
            let most = policy.envelope().amplitude.max(1.0);
            assert!(action.iter().all(|a| a.abs() <= most), "the action {action:?} above {most}");
        }
    }
}
