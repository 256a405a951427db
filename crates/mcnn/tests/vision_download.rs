//! Fetching weights, from a server of the test's own.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use mcnn::vision::fetch;
use sha2::{Digest as _, Sha256};

/// Answers each request, in order, with the next answer, and counts the requests. Its URL, without a path.
fn server(answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = request.next().unwrap().unwrap();
            assert!(first.starts_with("GET /") && first.ends_with(" HTTP/1.1"), "{first}");
            while !request.next().unwrap().unwrap().is_empty() {}
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(&answer); // who has heard enough hangs up
        }
    });
    (url, count)
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn digits(body: &[u8]) -> String {
    Sha256::digest(body).iter().take(4).map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_file_is_fetched_once_and_checked_every_time() {
    let body: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let moved = b"HTTP/1.1 302 Found\r\nLocation: URL/there\r\n\r\n".to_vec();
    let (target, fetched) = server(vec![answer("200 OK", &body)]);
    let moved = String::from_utf8(moved).unwrap().replace("URL", &target).into_bytes();
    let (url, asked) = server(vec![moved]);
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new/w.pth");
    let mut told = Vec::new();
    let get = |told: &mut Vec<(u64, u64)>| {
        fetch(&format!("{url}/w.pth"), &to, &digits(&body), &mut |done, of| told.push((done, of)))
    };
    assert_eq!(get(&mut told).unwrap(), to);
    assert_eq!(fs::read(&to).unwrap(), body);
    assert_eq!(told.last(), Some(&(200_000, 200_000)));
    assert_eq!(get(&mut told).unwrap(), to);
    assert_eq!((asked.load(Ordering::SeqCst), fetched.load(Ordering::SeqCst)), (1, 1));
    fs::write(&to, b"something else").unwrap();
    let error = get(&mut told).unwrap_err().to_string();
    assert!(error.contains("SHA-256") && error.contains("remove it"), "{error}");
}

#[test]
fn anything_but_the_file_is_refused_and_leaves_nothing() {
    let body = b"the file".to_vec();
    let cut = answer("200 OK", &body)[..].split_last_chunk::<3>().unwrap().0.to_vec();
    let cases: [(Vec<u8>, &str); 8] = [
        (answer("200 OK", b"another file"), "SHA-256"),
        (answer("404 Not Found", b"no"), "404"),
        (cut, "5 of 8 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\nthe file".to_vec(), "200 OK"), // of unknown length
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".to_vec(), "99999999999999 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 8\r\n\r\nthe file".to_vec(),
            "chunked",
        ),
        (b"not HTTP at all".to_vec(), "not HTTP"),
        (b"X".repeat(100_000), "not HTTP"),
    ];
    for (answer, part) in cases {
        let (url, _) = server(vec![answer]);
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("w.pth");
        let error = fetch(&format!("{url}/w"), &to, &digits(&body), &mut |_, _| ()).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(&url) && error.contains("--weights FILE"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    let folder = tempfile::tempdir().unwrap();
    for url in ["nothing", "ftp://localhost/w", "http://127.0.0.1:1/w", "http://localhost:port/w"] {
        let error = fetch(url, &folder.path().join("w"), "00", &mut |_, _| ()).unwrap_err().to_string();
        assert!(error.contains(url), "{error}");
    }
}
