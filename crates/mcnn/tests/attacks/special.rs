//! Paths that are not regular files: an endless device, a pipe without a writer, a folder.
#![cfg(unix)]

use super::in_limited_process;

#[test]
fn devices_pipes_and_folders() {
    in_limited_process("special::devices_pipes_and_folders", |attacks| {
        let (zero, pipe, folder) = (attacks.path("zero"), attacks.path("pipe"), attacks.path("folder"));
        std::os::unix::fs::symlink("/dev/zero", &zero).unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for reader in ["demonstrations", "expert", "memories", "policy", "constraints", "checkpoint"] {
            for path in [&folder, &zero, &pipe] {
                assert!(!attacks.at(reader, &path.display().to_string(), path));
            }
        }
    });
}
