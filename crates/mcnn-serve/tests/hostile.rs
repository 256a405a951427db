//! Clients that state wrong lengths, stall, break off and send garbage.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use mcnn::seed::Seed;
use mcnn_serve::Limits;
use tungstenite::Message;

use crate::common::{Client, OBS, Options, Server, http, mlp, request, served, wait_until};

fn limited(change: impl Fn(&mut Limits)) -> Server {
    let mut options = Options::default();
    change(&mut options.limits);
    Server::start(served(mlp(3), None), options)
}

/// A connection after the handshake and the server's greeting, to write raw bytes to.
fn raw(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let handshake = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(handshake.as_bytes()).unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
    stream
}

/// Whether the server still answers.
fn assert_serves(server: &Server) {
    assert_eq!(Client::connect(server).actions(&[0.0; OBS]).len(), 2);
}

/// A frame's head, of a masked binary frame of this length.
fn head(length: u64) -> Vec<u8> {
    [&[0x82, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[test]
fn ten_thousand_frames_of_garbage_are_answered_with_errors() {
    let server = limited(|_| ());
    let mut client = Client::connect(&server);
    let mut rng = Seed(1).rng();
    let valid = request(&[0.5; OBS]);
    let mut errors = 0;
    for k in 0..10_000 {
        // Noise, and requests with some bytes changed.
        let mut frame: Vec<u8> = match k % 2 {
            0 => (0..rng.below(200)).map(|_| rng.below(256) as u8).collect(),
            _ => valid.clone(),
        };
        for _ in 0..(k % 5) * (k % 2) {
            let at = rng.below(frame.len());
            frame[at] = rng.below(256) as u8;
        }
        errors += u64::from(matches!(client.send(&frame), Message::Text(_)));
    }
    assert!(errors > 6000, "{errors}");
    assert_serves(&server);
    drop(client);
    let report = server.end();
    assert_eq!((report.errors, report.requests), (errors, 10_000 - errors + 1));
}

#[test]
fn a_message_above_the_limit_ends_the_session_and_is_not_stored() {
    let server = limited(|limits| limits.message_bytes = 1000);
    let mut client = Client::connect(&server);
    client.socket.send(Message::Binary(vec![0xc0; 1001].into())).unwrap();
    match client.socket.read() {
        Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("{other:?}"),
    }
    // A length that the message does not have. The connection stays open: closed with the greeting unread, it would be reset.
    let mut wrong = raw(&server);
    wrong.write_all(&head(u64::MAX / 4)).unwrap();
    // Many small pieces of one message.
    let mut pieces = raw(&server);
    for k in 0..100 {
        let opcode = if k == 0 { 0x02 } else { 0x00 };
        let piece = [&[opcode, 0x80 | 100][..], &[0; 104]].concat();
        if pieces.write_all(&piece).is_err() {
            break;
        }
    }
    for session in 0..3 {
        let line = server.wait_for(&format!("session {session} "));
        assert!(line.contains("largest size"), "{line}");
    }
    assert_serves(&server);
}

#[test]
fn a_long_key_around_many_values_is_refused_in_little_memory() {
    let server = limited(|limits| limits.message_bytes = 8 << 20);
    // {"xx..": {"k": nil, "k": nil, ..}}: with the keys joined, 200 GB.
    let long = vec![b'x'; 7 << 20];
    let mut attack = vec![0x81, 0xdb];
    attack.extend((long.len() as u32).to_be_bytes());
    attack.extend(&long);
    attack.extend([0xde, 0x75, 0x30]);
    attack.extend([0xa1, b'k', 0xc0].repeat(30_000));
    let message = Client::connect(&server).refused(&attack);
    assert!(message.contains("and 29980 more") && message.len() < 4000, "{message}");
    assert_serves(&server);
}

#[test]
fn clients_that_break_off_or_stall_in_a_frame_lose_their_place() {
    let server = limited(|limits| {
        (limits.connections, limits.idle) = (3, Duration::from_millis(400));
    });
    let mut stalled: Vec<TcpStream> = (0..3).map(|_| raw(&server)).collect();
    for stream in &mut stalled {
        stream.write_all(&head(500)).unwrap();
        stream.write_all(&[1; 50]).unwrap();
    }
    drop(stalled.pop()); // in mid-frame
    let line = server.wait_for("session 2 ");
    assert!(line.contains("broke"), "{line}");
    for session in 0..2 {
        let line = server.wait_for(&format!("session {session} "));
        assert!(line.contains("silent for"), "{line}");
    }
    assert_serves(&server);
}

#[test]
fn a_client_that_answers_pings_may_be_silent() {
    let server = limited(|limits| limits.idle = Duration::from_millis(300));
    let mut client = Client::connect(&server);
    let mut pings = 0;
    while pings < 5 {
        // Reading answers them.
        match client.socket.read().unwrap() {
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
        client.socket.flush().unwrap();
    }
    assert_eq!(client.actions(&[0.0; OBS]).len(), 2);
}

#[test]
fn more_clients_than_places_are_refused_until_one_leaves() {
    let server = limited(|limits| limits.connections = 2);
    let clients = [Client::connect(&server), Client::connect(&server)];
    assert_eq!(Client::with_headers(&server, &[]).err(), Some(503));
    assert_eq!(http(&server, "/healthz", "").0, 200);
    drop(clients);
    wait_until("a place is free", || Client::with_headers(&server, &[]).is_ok());
    let idle: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    drop(idle);
    assert_serves(&server);
}

#[test]
fn what_is_not_http_or_not_a_websocket_frame_ends_that_connection_alone() {
    let server = limited(|_| ());
    let mut witness = Client::connect(&server);
    let mut rng = Seed(2).rng();
    for _ in 0..50 {
        let noise: Vec<u8> = (0..300).map(|_| rng.below(256) as u8).collect();
        let _ = TcpStream::connect(server.address).unwrap().write_all(&noise);
        let mut stream = raw(&server);
        let _ = stream.write_all(&noise);
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000));
    let _ = TcpStream::connect(server.address).unwrap().write_all(long.as_bytes());
    assert_eq!(witness.actions(&[0.0; OBS]).len(), 2);
    let mut text = Client::connect(&server);
    text.socket.send(Message::Text("{}".into())).unwrap();
    assert!(
        matches!(text.socket.read().unwrap(), Message::Close(Some(frame)) if u16::from(frame.code) == 1003)
    );
}
