//! `mcnn serve` as a program: its messages, its key, its end. The protocol is tested in crate mcnn-serve.
#![cfg(all(unix, feature = "serve"))]

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::ffi::OsStrExt as _,
    process::{Child, ChildStderr, Command, Stdio},
};

use crate::common::Bench;
use serde_json::Value;

/// A running server, and what it says.
struct Server {
    child: Child,
    lines: BufReader<ChildStderr>,
    said: String,
    address: String,
}

impl Server {
    fn start(bench: &Bench, options: &str) -> Self {
        let mut command = bench.command(&format!("serve p.safetensors --port 0 --json {options}"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, lines, said: String::new(), address: String::new() };
        let line = server.line("listening on ");
        server.address = line.trim().rsplit('/').next().unwrap().into();
        server
    }

    /// Reads up to a line that contains a text.
    fn line(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "no {text:?} in {}", self.said);
            self.said.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it by a signal; the exit code and the report.
    fn end(mut self, signal: &str) -> (Option<i32>, Value, String) {
        assert!(
            Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success()
        );
        self.lines.read_to_string(&mut self.said).unwrap();
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap(), self.said)
    }
}

/// What `mcnn serve --json` prints when it is ended.
pub fn report(bench: &Bench) -> Value {
    Server::start(bench, "").end("-TERM").1
}

#[test]
fn a_server_says_what_it_serves_and_ends_with_its_counts() {
    let bench = Bench::with_policy();
    for signal in ["-INT", "-TERM"] {
        let server = Server::start(&bench, "--guard warn --max-sessions 3");
        assert!(server.get("/healthz").ends_with("\r\n\r\nOK\n"));
        assert!(server.get("/metrics").contains("mcnn_requests_total 0"));
        let (code, report, said) = server.end(signal);
        assert_eq!(
            (code, &report["requests"], &report["protocol"]),
            (Some(130), &0.into(), &"openpi".into())
        );
        for part in
            ["50 memories", "observation/state or state (10 values)", "warn above distance", "3 sessions"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("warning"), "{said}");
    }
}

#[test]
fn a_server_that_other_machines_reach_warns() {
    let bench = Bench::with_policy();
    let (_, _, said) = Server::start(&bench, "--host 0.0.0.0").end("-TERM");
    assert!(said.contains("reached from other machines and no key is needed (--api-key-file)"), "{said}");
    std::fs::write(bench.path("key"), "s3cret\n").unwrap();
    let server = Server::start(&bench, "--host 0.0.0.0 --api-key-file key");
    assert!(server.get("/metrics").starts_with("HTTP/1.1 401"));
    let (_, _, said) = server.end("-TERM");
    assert!(
        said.contains("reached from other machines; nothing is encrypted") && !said.contains("s3cret"),
        "{said}"
    );
}

#[test]
fn an_edited_policy_is_swapped_in() {
    let bench = Bench::with_policy();
    let mut server = Server::start(&bench, "--watch");
    bench.ok("memory drop p.safetensors --memories 0,1");
    server.line("now 48 memories");
    assert!(server.get("/metrics").contains("mcnn_policy_swaps_total 1"));
    std::fs::write(bench.path("p.safetensors"), b"half").unwrap();
    let line = server.line("cannot be used");
    assert!(line.contains("stays in use"), "{line}");
    let (_, report, _) = server.end("-TERM");
    assert_eq!((&report["swaps"], &report["failed_swaps"]), (&1.into(), &1.into()));
}

#[test]
fn what_cannot_be_served_is_refused_with_what_to_do() {
    let bench = Bench::with_policy();
    std::fs::write(bench.path("empty"), "\n").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (options, parts) in [
        (format!("p.safetensors --port {port}"), ["the port is in use", "another port with --port"]),
        ("p.safetensors --host 203.0.113.7".into(), ["does not have this address", "--host"]),
        ("p.safetensors --api-key-file none".into(), ["none", "check the path"]),
        ("p.safetensors --api-key-file empty".into(), ["a key that cannot be used", "openssl"]),
        ("p.safetensors --actions-per-reply 2".into(), ["--actions-per-reply", "single actions"]),
        ("p.safetensors --actions-per-reply 0".into(), ["--actions-per-reply", "expected: 1"]),
        ("p.safetensors --frame-size 32x32".into(), ["does not use camera frames", "--frame-size"]),
        ("p.safetensors --threads 0".into(), ["--threads", "1 to 1024"]),
        ("m.safetensors".into(), ["m.safetensors", "policy"]),
        ("none.safetensors".into(), ["none.safetensors", "check the path"]),
    ] {
        let message = bench.refused(&format!("serve {options}"));
        for part in parts {
            assert!(message.contains(part), "{options}: no {part:?} in {message}");
        }
    }
    let typed = bench.run("serve p.safetensors --protocol ros");
    let expected = if cfg!(feature = "lerobot") { "expected openpi or lerobot" } else { "expected openpi" };
    assert!(String::from_utf8_lossy(&typed.stderr).contains(expected));
    #[cfg(feature = "lerobot")]
    {
        std::fs::write(bench.path("key"), "s3cret\n").unwrap();
        let message = bench.refused("serve p.safetensors --protocol lerobot --port 0 --api-key-file key");
        assert!(message.contains("LeRobot's client sends no key"), "{message}");
    }
    let mut command = bench.command("serve p.safetensors --port 0");
    let output = command.env("MCNN_API_KEY", OsStr::from_bytes(b"s3cret\xff")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && message.contains("a key that is not UTF-8"), "{message}");
}
