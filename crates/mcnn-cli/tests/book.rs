//! The documentation: the command reference is the program's own, options that are named exist, links lead somewhere.
//! `MCNN_WRITE_REFERENCE=1 cargo test --release -p mcnn-cli --test suite book::` writes the command reference anew.

use crate::common;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// All files below a folder that have this extension, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The Markdown of the book, of the folder `docs` around it, and of the repository's root.
fn pages() -> Vec<PathBuf> {
    let mut pages = files(&root().join("docs"), "md");
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(top.filter(|path| path.extension().is_some_and(|e| e == "md")));
    pages.push(root().join("bench/README.md"));
    pages
}

fn reference() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_mcnn")).arg("reference").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_reference_is_what_the_program_prints() {
    let path = root().join("docs/book/src/reference/commands.md");
    let printed = reference();
    if std::env::var_os("MCNN_WRITE_REFERENCE").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(
        committed == printed,
        "{} is not what `mcnn reference` prints. To write it anew: MCNN_WRITE_REFERENCE=1 cargo test --release -p mcnn-cli \
         --test suite book::",
        path.display()
    );
}

/// Long options of other programs that the pages name.
const FOREIGN: [&str; 14] = [
    "--release",
    "--locked",
    "--features",
    "--example",
    "--workspace",
    "--path",
    "--quick",
    "--build",
    "--native",
    "--rliable",
    "--hnsw-seconds",
    "--most",
    "--repo-type",
    "--local-dir",
];

#[test]
fn every_option_that_a_page_names_exists() {
    let known: BTreeSet<String> = options(&reference()).into_iter().map(|(_, option)| option).collect();
    // The changelog names options that are gone.
    for page in pages().into_iter().filter(|page| !page.ends_with("CHANGELOG.md")) {
        for (line, option) in options(&fs::read_to_string(&page).unwrap()) {
            assert!(
                known.contains(&option)
                    || FOREIGN.contains(&option.as_str())
                    || option == "--help"
                    || option == "--json",
                "{}:{line} names {option}, which no verb has",
                page.display()
            );
        }
    }
}

/// Everything that looks like `--an-option`, with its line.
fn options(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in text.lines().enumerate() {
        for (at, _) in content.match_indices("--") {
            let before = content[..at].chars().next_back();
            let name: String =
                content[at + 2..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if !before.is_some_and(|c| c.is_alphanumeric() || "-!<".contains(c))
                && name.starts_with(|c| c != '-')
            {
                found.push((line + 1, format!("--{}", name.trim_end_matches('-'))));
            }
        }
    }
    found
}

#[test]
fn links_between_files_lead_to_files() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for piece in text.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap().split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            // A file that a page of the book includes has its links relative to that page.
            let folders = [page.parent().unwrap().to_owned(), root().join("docs/book/src")];
            assert!(
                folders.iter().any(|folder| folder.join(target).exists()),
                "{} links to {target}, which is not there",
                page.display()
            );
        }
    }
}

/// mdBook, where `python/get_mdbook.sh` put it, or a printed reason why a test is skipped.
fn mdbook(test: &str) -> Option<PathBuf> {
    let home = std::env::var_os("MCNN_HOME").map_or(root().join(".mcnn"), PathBuf::from);
    let program = home.join("mdbook/mdbook");
    if program.is_file() {
        return Some(program);
    }
    common::skipped(test, &format!("no {}; python/get_mdbook.sh fetches it", program.display()));
    None
}

#[test]
fn the_book_builds_and_its_links_lead_to_places() {
    let Some(mdbook) = mdbook("the_book_builds_and_its_links_lead_to_places") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut build = Command::new(mdbook);
    let output =
        build.arg("build").arg(root().join("docs/book")).arg("-d").arg(folder.path()).output().unwrap();
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{messages}");
    assert!(!messages.contains("ERROR") && !messages.contains("WARN"), "{messages}");

    let html: BTreeMap<PathBuf, String> = files(folder.path(), "html")
        .into_iter()
        .filter(|path| !["print.html", "404.html", "toc.html"].iter().any(|name| path.ends_with(name)))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    assert!(html.len() > 20, "only {} pages", html.len());
    let attribute = |text: &str, name: &str| -> Vec<String> {
        let begin = format!(" {name}=\"");
        let parts = text.split(&begin).skip(1);
        parts.map(|part| part.split('"').next().unwrap().to_owned()).collect()
    };
    for (path, text) in &html {
        let main = text
            .split("<main>")
            .nth(1)
            .and_then(|t| t.split("</main>").next())
            .expect("a page has a main part");
        for link in attribute(main, "href").into_iter().chain(attribute(main, "src")) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let target =
                target.canonicalize().unwrap_or_else(|_| panic!("{}: {link} is not there", path.display()));
            let text = html.iter().find(|(p, _)| p.canonicalize().unwrap() == target).map(|(_, text)| text);
            assert!(
                anchor.is_empty() || text.is_some_and(|text| text.contains(&format!("id=\"{anchor}\""))),
                "{}: {link} has no such anchor",
                path.display()
            );
        }
    }
}
