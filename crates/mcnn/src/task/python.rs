//! The Python interpreter of the environments: one of the user's, or a virtual environment that is created here.

use crate::{
    error::{Error, Kind, Result},
    home::home,
};
use sha2::{Digest as _, Sha256};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The pinned packages, each tagged with its uses.
const REQUIREMENTS: &str = include_str!("../../../../python/requirements.txt");
const OLDEST: (u32, u32) = (3, 11); // what the pinned numpy runs under
const COMPLETE: &str = "complete"; // this file marks a complete virtual environment

/// The interpreter to run workers under: the one MCNN_PYTHON names, or that of the virtual environment under
/// [`home`], which the first call creates (about 300 MB from PyPI; `progress` is then called with a line of text). An
/// interrupted creation is repeated; if two processes create it at once, one waits for the other.
///
/// # Errors
/// If there is no Python, it lacks what is needed, or the packages cannot be installed.
pub fn interpreter(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    of(Use::Worker, progress)
}

/// The interpreter for environments that Box2D simulates ([`in_box2d`]): likewise, in a virtual environment of its own
/// (about 150 MB from PyPI).
///
/// # Errors
/// As [`interpreter`].
pub fn interpreter_with_box2d(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    of(Use::Box2d, progress)
}

/// Whether an environment of Gymnasium is one that Box2D simulates.
pub fn in_box2d(id: &str) -> bool {
    ["CarRacing", "LunarLander", "BipedalWalker"].iter().any(|name| id.starts_with(name))
}

/// The interpreter for Push-T ([`in_pusht`]): likewise, in a virtual environment of its own (about 100 MB from PyPI).
///
/// # Errors
/// As [`interpreter`].
pub fn interpreter_with_pusht(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    of(Use::PushT, progress)
}

/// The interpreter with onnxruntime, which runs exported policies: likewise, in a virtual environment of its own (about 80 MB from
/// PyPI).
///
/// # Errors
/// As [`interpreter`].
pub fn interpreter_with_onnxruntime(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    of(Use::Onnx, progress)
}

/// Whether an environment of Gymnasium is one of gym-pusht.
pub fn in_pusht(id: &str) -> bool {
    id.rsplit(':').next().is_some_and(|name| name.starts_with("gym_pusht/"))
}

fn of(who: Use, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    match env::var_os("MCNN_PYTHON").filter(|name| !name.is_empty()) {
        Some(named) => own(Path::new(&named), who),
        None => prepared(&home()?, REQUIREMENTS, who, progress),
    }
}

/// The program ffmpeg: the one on the PATH, or that of a PyPI package (70 MB), installed under [`home`] on the first
/// call (`progress` gets a line then).
///
/// # Errors
/// As [`interpreter`].
pub fn ffmpeg(progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let on_path = Command::new("ffmpeg").arg("-version").output();
    if on_path.is_ok_and(|run| run.status.success()) {
        return Ok("ffmpeg".into());
    }
    let python = prepared(&home()?, REQUIREMENTS, Use::Video, progress)?;
    let output = Command::new(&python)
        .args(["-c", "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())"])
        .output();
    match output {
        Ok(answer) if answer.status.success() => {
            Ok(String::from_utf8_lossy(&answer.stdout).trim_end().to_owned().into())
        }
        other => Err(Error::new(Kind::Task, "ffmpeg cannot be installed")
            .at(python.display().to_string())
            .found(match other {
                Ok(answer) => String::from_utf8_lossy(&answer.stderr).into_owned(),
                Err(e) => e.to_string(),
            })
            .next("install ffmpeg (Debian, Ubuntu: apt install ffmpeg); videos of episodes can be written as .gif instead")),
    }
}

/// What packages are needed for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Use {
    Worker,
    Box2d,
    PushT,
    Video,
    Onnx,
}

impl Use {
    /// The tag of its lines in the requirements.
    fn tag(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Box2d => "box2d",
            Self::PushT => "pusht",
            Self::Video => "video",
            Self::Onnx => "onnx",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Worker => "the environments",
            Self::Box2d => "the environments of Box2D",
            Self::PushT => "Push-T",
            Self::Video => "videos",
            Self::Onnx => "graphs of ONNX",
        }
    }
}

/// Whether [`interpreter`] needs no download.
pub fn ready() -> bool {
    let named = env::var_os("MCNN_PYTHON").is_some_and(|name| !name.is_empty());
    named || home().is_ok_and(|home| folder_of(&home, REQUIREMENTS, Use::Worker).join(COMPLETE).exists())
}

fn own(python: &Path, who: Use) -> Result<PathBuf> {
    let (modules, packages) = match who {
        Use::Box2d => ("gymnasium, Box2D, pygame", "'gymnasium[box2d]'"),
        Use::PushT => ("gymnasium, gym_pusht", "gym-pusht==0.1.6 'pymunk<7'"),
        Use::Onnx => ("numpy, onnxruntime", "numpy onnxruntime"),
        _ => ("gymnasium", "'gymnasium'"),
    };
    let refused = |found: String| {
        Error::new(Kind::Task, "the Python that MCNN_PYTHON names cannot be used")
            .at(python.display().to_string())
            .expected(format!("an interpreter that can import {modules}"))
            .found(found)
            .next(format!(
                "install it there (python -m pip install {packages}), or unset MCNN_PYTHON to have one made"
            ))
    };
    let run = Command::new(python).args(["-c", &format!("import {modules}")]).output();
    let run = run.map_err(|e| refused(e.to_string()))?;
    if run.status.success() {
        return Ok(python.to_owned());
    }
    let stderr = String::from_utf8_lossy(&run.stderr);
    Err(refused(stderr.lines().last().unwrap_or("nothing on stderr").to_owned()))
}

/// The names and versions of the lines tagged for a use.
fn wanted(requirements: &str, who: Use) -> Vec<&str> {
    let tagged = requirements.lines().filter_map(|line| line.split_once('#'));
    let ours = tagged.filter(|(package, _)| !package.is_empty());
    let ours = ours.filter(|(_, tags)| tags.split(',').any(|tag| tag.trim() == who.tag()));
    ours.map(|(package, _)| package.trim()).collect()
}

/// The folder's name depends on the packages, so that other versions get another folder.
fn folder_of(home: &Path, requirements: &str, who: Use) -> PathBuf {
    let digest = Sha256::digest(wanted(requirements, who).join("\n"));
    let short: String = digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    home.join(format!("python-{short}"))
}

fn prepared(home: &Path, requirements: &str, who: Use, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let folder = folder_of(home, requirements, who);
    let python = folder.join("bin/python");
    let whole = || folder.join(COMPLETE).exists() && python.exists();
    if whole() {
        return Ok(python);
    }
    fs::create_dir_all(home).map_err(|e| Error::io("creating the folder", home, &e))?;
    let lock = folder.with_extension("lock");
    let file = fs::File::create(&lock).map_err(|e| Error::io("creating the lock", &lock, &e))?;
    file.lock().map_err(|e| Error::io("locking", &lock, &e))?; // until `file` is dropped, or the process ends
    if whole() {
        return Ok(python); // another process created it meanwhile
    }
    let system = system_python()?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| Error::io("removing an incomplete", &folder, &e))?;
    }
    let packages = wanted(requirements, who);
    progress(&format!(
        "Installing {} Python packages for {} into {} (once)",
        packages.len(),
        who.what(),
        folder.display()
    ));
    run(
        Command::new(system).args(["-m", "venv"]).arg(&folder),
        "the Python virtual environment cannot be created",
        "install Python's venv module (Debian, Ubuntu: apt install python3-venv)",
    )?;
    if !packages.is_empty() {
        run(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(packages),
            "the Python packages cannot be installed",
            "check that PyPI can be reached, or name an interpreter that has gymnasium in MCNN_PYTHON",
        )?;
    }
    let mark = folder.join(COMPLETE);
    fs::write(&mark, "").map_err(|e| Error::io("writing", &mark, &e))?;
    Ok(python)
}

fn system_python() -> Result<&'static str> {
    let mut found = Vec::new();
    for name in ["python3", "python3.13", "python3.12", "python3.11", "python"] {
        let output = Command::new(name)
            .args(["-c", "import sys; print(sys.version_info[0], sys.version_info[1])"])
            .output();
        let Some(answer) = output.ok().filter(|a| a.status.success()) else {
            continue;
        };
        let answer = String::from_utf8_lossy(&answer.stdout);
        let mut parts = answer.split_whitespace().map_while(|part| part.parse::<u32>().ok());
        if let (Some(major), Some(minor)) = (parts.next(), parts.next()) {
            if (major, minor) >= OLDEST {
                return Ok(name);
            }
            found.push(format!("{name} is {major}.{minor}"));
        }
    }
    let found = match found.as_slice() {
        [] => "no python3 on the PATH".to_owned(),
        some => some.join(", "),
    };
    Err(Error::new(Kind::Task, "these environments need Python")
        .expected(format!("Python {}.{} or newer", OLDEST.0, OLDEST.1))
        .found(found)
        .next("install it (Debian, Ubuntu: apt install python3 python3-venv), or name one in MCNN_PYTHON"))
}

fn run(command: &mut Command, what: &str, next: &str) -> Result<()> {
    let place = command.get_program().to_string_lossy().into_owned();
    let failed = |found: String| Error::new(Kind::Task, what).at(place).found(found).next(next);
    match command.output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => {
            // venv writes errors to stdout, pip to stderr.
            let output = [done.stdout, done.stderr].concat();
            let output = String::from_utf8_lossy(&output);
            let lines: Vec<&str> = output.lines().rev().take(5).collect();
            let last: Vec<&str> = lines.into_iter().rev().collect();
            Err(failed(format!("{}: {}", done.status, last.join("\n    "))))
        }
        Err(e) => Err(failed(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn only_the_lines_tagged_for_the_worker_are_installed_and_all_are_exact() {
        let text =
            "# worker\nnumpy==1   # worker, box2d\nb==1 # box2d\npytest==2 # tests\ntorch==3 # bench\n";
        assert_eq!(wanted(text, Use::Worker), ["numpy==1"]);
        assert_eq!(wanted(text, Use::Box2d), ["numpy==1", "b==1"]);
        let ours = wanted(REQUIREMENTS, Use::Worker);
        assert!(ours.contains(&"gymnasium-robotics==1.4.2") && ours.contains(&"mujoco==3.17.0"));
        assert!(ours.iter().all(|line| line.contains("==") && !line.contains(' ')), "{ours:?}");
        let box2d = wanted(REQUIREMENTS, Use::Box2d);
        assert!(box2d.contains(&"gymnasium==1.4.0") && !box2d.iter().any(|line| line.starts_with("mujoco")));
        let pusht = wanted(REQUIREMENTS, Use::PushT);
        assert!(
            pusht.contains(&"gym-pusht==0.1.6") && pusht.iter().any(|line| line.starts_with("pymunk==6."))
        );
        for line in REQUIREMENTS.lines().filter(|l| !l.starts_with('#')) {
            let (_, tags) = line.split_once("# ").expect(line);
            let known = [
                "worker", "box2d", "pusht", "video", "onnx", "package", "tests", "bench", "browser", "openpi",
            ];
            assert!(tags.split(", ").all(|tag| known.contains(&tag)), "{line}");
        }
    }

    /// Writes to the standard error, since the test runner captures the output of passing tests.
    fn skipped(why: &Error) {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(format!("SKIPPED (task::python): {why}\n").as_bytes());
    }

    #[test]
    fn an_interrupted_creation_is_repeated_and_a_complete_one_is_used() {
        if let Err(error) = system_python() {
            return skipped(&error);
        }
        let home = tempfile::tempdir().unwrap();
        let lines = RefCell::new(Vec::new());
        let make = || {
            prepared(home.path(), "nothing==1 # tests", Use::Worker, &|line| {
                lines.borrow_mut().push(line.to_owned())
            })
        };
        let python = make().unwrap();
        assert!(python.exists());
        assert_eq!(make().unwrap(), python);
        assert_eq!(lines.borrow().len(), 1, "made twice: {:?}", lines.borrow());
        // What an interruption leaves: a folder without its mark.
        let folder = folder_of(home.path(), "", Use::Worker);
        fs::remove_file(folder.join(COMPLETE)).unwrap();
        fs::write(folder.join("half"), "").unwrap();
        assert_eq!(make().unwrap(), python);
        assert_eq!(lines.borrow().len(), 2);
        assert!(!folder.join("half").exists());
    }

    #[test]
    fn packages_that_cannot_be_had_are_an_error_and_leave_no_mark() {
        if let Err(error) = system_python() {
            return skipped(&error);
        }
        let home = tempfile::tempdir().unwrap();
        let text = "/nowhere/at-all.whl # worker";
        let error = prepared(home.path(), text, Use::Worker, &|_| ()).unwrap_err();
        assert_eq!(error.what(), "the Python packages cannot be installed");
        assert!(error.to_string().contains("nowhere"), "{error}");
        assert!(!folder_of(home.path(), text, Use::Worker).join(COMPLETE).exists());
    }

    #[test]
    fn an_interpreter_without_gymnasium_is_refused_by_name() {
        for wrong in ["/bin/false", "/nowhere/python"] {
            for (who, package) in
                [(Use::Worker, "'gymnasium'"), (Use::Box2d, "'gymnasium[box2d]'"), (Use::PushT, "'pymunk<7'")]
            {
                let error = own(Path::new(wrong), who).unwrap_err().to_string();
                assert!(error.contains(wrong) && error.contains(package), "{error}");
            }
        }
    }
}
