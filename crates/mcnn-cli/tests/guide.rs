//! The shell blocks of the guide run as they stand, page by page, each page in an empty folder with `mcnn` on the path.
//! A block marked `sh,no-run` is shown only; the page says why.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The blocks of a page whose first line is exactly "```sh", with the line where each begins.
fn blocks(page: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().map(|(_, l)| l).take_while(|l| *l != "```").collect();
            if line == "```sh" {
                blocks.push((number + 1, block.join("\n")));
            }
        }
    }
    blocks
}

/// Runs a page's blocks in order; what one leaves in the folder, the next finds.
fn runs(page: &str) {
    let page = root().join(page);
    let blocks = blocks(&page);
    assert!(!blocks.is_empty(), "{} has no block to run", page.display());
    let folder = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_mcnn")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    for (line, block) in blocks {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &block])
            .current_dir(folder.path())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}:{line} fails with {:?}:\n{block}\n--- it printed\n{}{}",
            page.display(),
            output.status.code(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_readme_runs() {
    runs("README.md");
}

#[test]
fn get_started_runs() {
    runs("docs/book/src/start.md");
}

#[test]
fn your_own_data_runs() {
    runs("docs/book/src/data.md");
}

#[test]
fn train_and_tune_runs() {
    runs("docs/book/src/train.md");
}

#[test]
fn evaluate_and_compare_runs() {
    runs("docs/book/src/evaluate.md");
}

#[test]
fn explain_guard_and_correct_runs() {
    runs("docs/book/src/trust.md");
}

#[test]
fn deploy_runs() {
    runs("docs/book/src/deploy.md");
}

#[test]
fn images_runs() {
    runs("docs/book/src/frames.md");
}

#[test]
fn experiments_at_scale_runs() {
    runs("docs/book/src/experiments.md");
}

#[test]
fn every_block_that_does_not_run_says_why() {
    for page in ["README.md", "docs/book/src"].map(|p| root().join(p)) {
        let pages = if page.is_dir() {
            fs::read_dir(page).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect()
        } else {
            vec![page]
        };
        for page in pages {
            let text = fs::read_to_string(&page).unwrap();
            let shown: Vec<&str> = text.split("\n\n").collect();
            for pair in shown.windows(2).filter(|pair| pair[1].starts_with("```sh,no-run")) {
                assert!(
                    pair[0].contains("(Not run by the tests: "),
                    "{}: no reason before\n{}",
                    page.display(),
                    pair[1]
                );
            }
        }
    }
}
