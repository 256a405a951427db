//! Downloads a published file once, over HTTP or HTTPS, into the cache folder.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use super::resnet::ResNet;
use crate::{
    atomic,
    error::{Error, Kind, Result},
    home::home,
};

/// No network's file is larger: ResNet-152's is 242 MB.
const LARGEST: u64 = 1 << 30;
/// How long a server may keep silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names of torchvision's files (`IMAGENET1K_V1`), each with the first digits of its SHA-256 before the ending.
fn name(resnet: ResNet) -> &'static str {
    match resnet {
        ResNet::ResNet18 => "resnet18-f37072fd.pth",
        ResNet::ResNet34 => "resnet34-b627a593.pth",
        ResNet::ResNet50 => "resnet50-0676ba61.pth",
    }
}

/// The weights that torchvision publishes: `weights/NAME` in `$MCNN_HOME` (or `~/.cache/mcnn`), fetched on the first call
/// from `$MCNN_WEIGHTS_URL/NAME` (default: torchvision's server). A file placed there by the user is used as well.
///
/// # Errors
/// As [`fetch`], and where there is no folder to keep it in.
pub fn imagenet(resnet: ResNet, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
    let name = name(resnet);
    let home = home()?.join("weights");
    let base = std::env::var("MCNN_WEIGHTS_URL").ok().filter(|url| !url.is_empty());
    let base = base.unwrap_or_else(|| "https://download.pytorch.org/models".into());
    let digits =
        name.rsplit_once('-').and_then(|(_, rest)| rest.strip_suffix(".pth")).expect("digits in the name");
    fetch(&format!("{}/{name}", base.trim_end_matches('/')), &home.join(name), digits, progress)
}

/// Puts what is at a URL into a file, unless it is there already, and checks it either way. Of two processes at once,
/// both fetch, and either's file serves.
///
/// # Errors
/// A server that cannot be reached, does not respond for a minute or responds with anything but the file; a file whose SHA-256
/// does not begin with `digits` (a downloaded one is then removed); and errors of the file system.
pub fn fetch(url: &str, to: &Path, digits: &str, progress: &mut dyn FnMut(u64, u64)) -> Result<PathBuf> {
    if let Ok(mut cached) = File::open(to) {
        let mut hash = Sha256::new();
        std::io::copy(&mut cached, &mut hash).map_err(|e| Error::io("reading", to, &e))?;
        return match check(&super::hex(&hash.finalize()), digits, &to.display().to_string()) {
            Ok(()) => Ok(to.to_owned()),
            Err(e) => Err(e.next("remove it, to have it fetched again")),
        };
    }
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::io("creating the folder", folder, &e))?;
    atomic::write_through(to, |temporary| {
        let (mut body, length) = get(url)?;
        let mut file = File::create(temporary).map_err(|e| Error::io("writing", to, &e))?;
        let (mut hash, mut done, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        while done < length {
            let n = body.read(&mut buffer).map_err(|e| unreachable(url, &e.to_string()))?;
            if n == 0 {
                return Err(unreachable(url, &format!("{done} of {length} bytes, then nothing more")));
            }
            let piece = &buffer[..n.min((length - done) as usize)];
            hash.update(piece);
            file.write_all(piece).map_err(|e| Error::io("writing", to, &e))?;
            done += piece.len() as u64;
            progress(done, length);
        }
        check(&super::hex(&hash.finalize()), digits, url)
    })?;
    Ok(to.to_owned())
}

fn check(found: &str, digits: &str, place: &str) -> Result<()> {
    if found.starts_with(digits) {
        return Ok(());
    }
    Err(Error::new(Kind::File, "a file other than the published one")
        .at(place)
        .expected(format!("a SHA-256 that begins with {digits}"))
        .found(found)
        .next("fetch the file by other means and name it: --weights FILE"))
}

fn unreachable(url: &str, found: &str) -> Error {
    Error::new(Kind::File, "the weights cannot be fetched")
        .at(url)
        .found(found)
        .next("fetch the file by other means and name it: --weights FILE; or name another place in MCNN_WEIGHTS_URL")
}

/// The response of a URL: the body and its length. HTTP/1.1 with Content-Length.
fn get(url: &str) -> Result<(Box<dyn Read>, u64)> {
    let mut url = url.to_owned();
    for _ in 0..5 {
        let mut body = BufReader::new(connect(&url)?);
        let bad = |e: std::io::Error| unreachable(&url, &e.to_string());
        let status = line(&mut body).map_err(bad)?;
        let (mut length, mut location, mut chunked) = (None, None, false);
        loop {
            let header = line(&mut body).map_err(bad)?;
            let Some((key, value)) = header.split_once(':') else { break };
            match (key.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => length = value.parse::<u64>().ok(),
                ("location", value) => location = Some(value.to_owned()),
                ("transfer-encoding", _) => chunked = true,
                _ => {}
            }
        }
        let code = status.split(' ').nth(1).unwrap_or_default();
        match (code, location, length) {
            ("301" | "302" | "307" | "308", Some(location), _) if location.contains("://") => {
                if url.starts_with("https:") && !location.starts_with("https:") {
                    return Err(unreachable(
                        &url,
                        &format!("a redirection to {location}, which is not encrypted"),
                    ));
                }
                url = location;
            }
            ("200", _, Some(length)) if length <= LARGEST && !chunked => return Ok((Box::new(body), length)),
            ("200", _, Some(length)) => {
                return Err(unreachable(&url, &format!("{length} bytes, chunked: {chunked}")));
            }
            _ => return Err(unreachable(&url, status.trim())),
        }
    }
    Err(unreachable(&url, "one redirection after another"))
}

/// One line of a header, without its end.
fn line(from: &mut impl std::io::BufRead) -> std::io::Result<String> {
    let mut line = Vec::new();
    from.take(8192).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Err(std::io::Error::other("an answer that is not HTTP"));
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A connection on which the request has been sent.
fn connect(url: &str) -> Result<Box<dyn Read>> {
    let refuse = |found: &str| unreachable(url, found);
    let (scheme, rest) = url.split_once("://").ok_or_else(|| refuse("not a URL"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (name, port) = match (host.rsplit_once(':'), scheme) {
        (Some((name, port)), _) => (name, port.parse().map_err(|_| refuse("a port that is not a number"))?),
        (None, "https") => (host, 443),
        (None, _) => (host, 80),
    };
    let io = |e: std::io::Error| refuse(&e.to_string());
    let request =
        format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: mcnn\r\nConnection: close\r\n\r\n");
    let address = (name, port).to_socket_addrs().map_err(io)?.next().ok_or_else(|| refuse("no address"))?;
    let mut tcp = TcpStream::connect_timeout(&address, PATIENCE).map_err(io)?;
    tcp.set_read_timeout(Some(PATIENCE)).and_then(|()| tcp.set_write_timeout(Some(PATIENCE))).map_err(io)?;
    match scheme {
        "http" => {
            tcp.write_all(request.as_bytes()).map_err(io)?;
            Ok(Box::new(tcp))
        }
        "https" => {
            let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|e| refuse(&e.to_string()))?
                .with_root_certificates(roots)
                .with_no_client_auth();
            let name = name.to_owned().try_into().map_err(|_| refuse("a host name that is none"))?;
            let session = rustls::ClientConnection::new(Arc::new(config), name);
            let mut tls = rustls::StreamOwned::new(session.map_err(|e| refuse(&e.to_string()))?, tcp);
            tls.write_all(request.as_bytes()).map_err(io)?;
            Ok(Box::new(tls))
        }
        _ => Err(refuse("expected http:// or https://")),
    }
}
