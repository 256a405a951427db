//! The header, and programs in C and C++ under AddressSanitizer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use mcnn::{
    backbone::Mlp,
    calibration::OodCalibration,
    data::{ActionRange, Demonstrations, Parts},
    envelope::Envelope,
    file::write_policy,
    memory::{LearnSettings, learn},
    policy::{ActingSettings, Policy},
    seed::Seed,
};

/// How programs are compiled: as strictly as users may, and with every check.
const FLAGS: [&str; 7] =
    ["-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-O1"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[test]
fn the_header_is_what_cbindgen_makes() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(crate_folder.join("cbindgen.toml")).unwrap();
    // The sources alone: reading the manifest would run `cargo metadata`.
    let sources = ["error.rs", "policy.rs", "session.rs"].map(|name| crate_folder.join("src").join(name));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(source);
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let path = crate_folder.join("include/mcnn.h");
    if std::env::var_os("MCNN_WRITE_HEADER").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let hint = "MCNN_WRITE_HEADER=1 cargo test -p mcnn-c writes it";
    assert!(fs::read(&path).unwrap() == made, "{} is out of date: {hint}", path.display());
}

/// A policy of two networks with a calibration, and its file.
fn policy(folder: &Path) -> (Policy, PathBuf) {
    let mut rng = Seed(4).rng();
    let mut draw = |n: usize| (0..n).map(|_| rng.between(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let parts = Parts {
        n_obs: 4,
        n_act: 2,
        states: draw(160),
        actions: draw(80),
        rewards: None,
        ends: vec![10, 20, 30, 40],
    };
    let data = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let codebook = learn(&data, &LearnSettings::for_policy(&data, Seed(0))).unwrap().codebook;
    let networks = [1, 2].map(|seed| Mlp::random(&[4, 16, 2], Seed(seed)).into()).to_vec();
    let envelope = Envelope { lambda: 0.7, ..Envelope::default() };
    let calibration = OodCalibration::leave_one_episode_out(&codebook, &data);
    let acting = ActingSettings { envelope, ..ActingSettings::default() };
    let policy = Policy::ensemble(codebook, networks, acting).unwrap().with_calibration(calibration);
    let path = folder.join("policy.safetensors");
    write_policy(&path, &policy).unwrap();
    (policy, path)
}

/// The lines that the examples print, computed here. With `all`, also the box and the guard.
fn expected(policy: &Policy, steps: usize, all: bool) -> Vec<Vec<f64>> {
    let mut session = policy.session();
    let mut action = [0.0; 2];
    let line = |step: usize| {
        let observation: Vec<f32> = (0..4).map(|k| ((step * 7 + k * 3) % 11) as f32 / 8.0 - 0.5).collect();
        let constrained = session.act(&observation, &mut action).unwrap();
        let mut line: Vec<f64> = action.iter().map(|a| f64::from(*a)).collect();
        line.extend([constrained.retrieval.distance, constrained.region.weight].map(f64::from));
        line.push(constrained.retrieval.memory as f64);
        line.extend([constrained.source.episode, constrained.source.step].map(f64::from));
        if all {
            line.extend(session.permissible_region()[0].map(f64::from));
        }
        line
    };
    (0..steps).map(line).collect()
}

/// The numbers of a line: hexadecimal floats as C prints them, and integers.
fn numbers(line: &str) -> Vec<f64> {
    line.split([' ', ':']).filter(|word| !word.is_empty()).map(number).collect()
}

fn number(word: &str) -> f64 {
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let Some(hexadecimal) = digits.strip_prefix("0x") else { return word.parse().unwrap() };
    let (mantissa, exponent) = hexadecimal.split_once('p').unwrap();
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let value = i64::from_str_radix(&format!("{whole}{part}"), 16).unwrap() as f64;
    let value = value * 2_f64.powi(exponent.parse::<i32>().unwrap() - 4 * part.len() as i32);
    if negative { -value } else { value }
}

/// The library that cargo built with these tests: `libmcnn_c` with this ending.
fn library(ending: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let folders = [deps.clone(), deps.parent().unwrap().to_owned()];
    let files =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("libmcnn_c") && name.ends_with(ending)
    };
    let newest = files.filter(is_ours).max_by_key(|path| path.metadata().unwrap().modified().unwrap());
    newest.unwrap_or_else(|| panic!("no libmcnn_c*{ending} in {}", deps.display()))
}

/// Compiles a program, or prints why a test is skipped.
fn compiled(test: &str, compiler: &str, source: &Path, to: &Path, library: &Path) -> bool {
    let skipped = |why: &str| {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
        false
    };
    // A compiler may be there without the sanitizers' libraries.
    let empty = to.with_extension("c");
    fs::write(&empty, "int main(void) { return 0; }\n").unwrap();
    match Command::new(compiler).args(FLAGS).args(["-x", "c"]).arg(&empty).arg("-o").arg(to).output() {
        Err(e) => return skipped(&format!("{compiler}: {e}")),
        Ok(output) if !output.status.success() => {
            return skipped(&format!("{compiler} has no AddressSanitizer"));
        }
        Ok(_) => {}
    }
    let include = root().join("crates/mcnn-c/include");
    let output = Command::new(compiler)
        .args(FLAGS)
        .arg("-I")
        .arg(include)
        .arg(source)
        .arg(library)
        .args(["-lpthread", "-ldl", "-lm"])
        .arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display()))
        .arg("-o")
        .arg(to)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{:?}\n{out}\n{err}", output.status);
    out
}

#[test]
fn the_example_in_c_acts_as_the_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, path) = policy(folder.path());
    let program = folder.path().join("act");
    let source = root().join("examples/c/act.c");
    // The static library; the C++ example takes the shared one.
    if !compiled("the_example_in_c", "gcc", &source, &program, &library(".a")) {
        return;
    }
    let printed = run(&program, &[path.to_str().unwrap(), "30", "0"]);
    let found: Vec<Vec<f64>> = printed.lines().map(numbers).collect();
    assert_eq!(found.iter().map(|line| line[..9].to_vec()).collect::<Vec<_>>(), expected(&policy, 30, true));
    assert!(found.iter().all(|line| line.len() == 10 && [0.0, 1.0].contains(&line[9])));
    // At a rate.
    assert_eq!(run(&program, &[path.to_str().unwrap(), "5", "1000"]).lines().count(), 5);
    let refused = Command::new(&program).args([folder.path().to_str().unwrap(), "1", "0"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn the_example_in_cpp_acts_as_the_library_does() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, path) = policy(folder.path());
    let program = folder.path().join("act");
    let source = root().join("examples/c/act.cpp");
    if !compiled("the_example_in_cpp", "g++", &source, &program, &library(".so")) {
        return;
    }
    let printed = run(&program, &[path.to_str().unwrap(), "30"]);
    assert_eq!(printed.lines().map(numbers).collect::<Vec<_>>(), expected(&policy, 30, false));
}

#[test]
fn bad_input_from_c_is_an_error_with_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = policy(folder.path());
    let program = folder.path().join("bad_input");
    let source = root().join("crates/mcnn-c/tests/bad_input.c");
    if compiled("bad_input_from_c", "gcc", &source, &program, &library(".so")) {
        run(&program, &[path.to_str().unwrap()]);
    }
}
