//! The websocket protocol, beside the policy in this process.

use mcnn::{
    act::Act as _,
    policy::{Guard, Response},
    seed::Seed,
};
use mcnn_serve::{Inputs, Live};
use tungstenite::Message;

use crate::common::{ACT, Client, OBS, Options, Server, floats, http, mlp, request, served, unet};

fn states(n: u64) -> Vec<[f32; OBS]> {
    let mut rng = Seed(9).rng();
    (0..n).map(|_| [0; OBS].map(|_| rng.normal() as f32)).collect()
}

#[test]
fn each_connection_is_an_episode_with_the_policys_own_actions() {
    let policy = mlp(3);
    let server = Server::start(served(policy.clone(), None), Options::default());
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(&server)).collect();
    let text = String::from_utf8_lossy(&clients[0].metadata).into_owned();
    for part in ["mcnn 0.1.0", "action_horizon", "fingerprint", "observation/state or state (4 values)"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let mut session = policy.session();
    // So many that the last are answered on the event loop.
    for state in states(300) {
        let mut expected = [0.0; ACT];
        let constrained = session.act(&state, &mut expected).unwrap();
        for client in &mut clients {
            let Message::Binary(reply) = client.send(&request(&state)) else { panic!("actions") };
            assert_eq!(floats(&reply, "actions"), expected);
            assert_eq!(floats(&reply, "mcnn/distance"), [constrained.retrieval.distance]);
            assert_eq!(floats(&reply, "mcnn/weight"), [constrained.region.weight]);
        }
    }
    let nan = clients[0].refused(&request(&[0.1, f32::NAN, 0.3, 0.4]));
    assert!(nan.contains("dimension 1"), "{nan}");
    drop(clients);
    server.wait_for("session 2 ");
    let report = server.end();
    assert_eq!((report.sessions, report.requests, report.errors), (3, 900, 1));
}

#[test]
fn a_chunked_policy_replies_with_chunks_and_with_less_where_it_is_asked_to() {
    let policy = unet();
    let at_once = Server::start(served(policy.clone(), None), Options::default());
    let inputs = Inputs::new(&policy, None, Vec::new(), Vec::new()).unwrap();
    let live = |n| Live::new(served(policy.clone(), None), Some(n));
    let one_by_one = Server::of(live(1).unwrap(), inputs.clone(), Options::default());
    let three = Server::of(live(3).unwrap(), inputs, Options::default());
    let refused = live(5).unwrap_err().to_string();
    assert!(refused.contains("1 to 4") && live(0).is_err(), "{refused}");
    let mut clients = [&at_once, &one_by_one, &three].map(Client::connect);
    // Each session draws its own random numbers, by its number.
    let seed = Seed(7).fork("session").nth(0);
    let (mut chunks, mut single) = (policy.session_with_seed(seed), policy.start(seed));
    for state in states(6) {
        let (mut chunk, mut action) = ([0.0; 4 * ACT], [0.0; ACT]);
        chunks.act_chunk(&state, &mut chunk).unwrap();
        single.act(&state, &mut action).unwrap();
        assert_eq!(clients[0].actions(&state), chunk);
        assert_eq!(clients[1].actions(&state), action);
        assert_eq!(clients[2].actions(&state), chunk[..3 * ACT]);
    }
}

#[test]
fn requests_that_cannot_be_answered_leave_the_session_as_it_is() {
    let policy = mlp(3);
    let server = Server::start(served(policy.clone(), None), Options::default());
    let mut client = Client::connect(&server);
    let mut expected = [0.0; ACT];
    policy.session().act(&[0.1, 0.2, 0.3, 0.4], &mut expected).unwrap();

    let keys = client.refused(b"\x81\xa4tate\xc0");
    assert!(keys.contains("observation/state or state (4 values)") && keys.contains("found: tate"), "{keys}");
    let again = client.refused(b"\x81\xa4tate\xc0");
    assert!(again.contains("as before") && !again.contains("expected"), "once per connection: {again}");
    let other = Client::connect(&server).refused(b"\x80");
    assert!(other.contains("expected:"), "{other}");
    let nan = client.refused(&request(&[0.1, f32::NAN, 0.3, 0.4]));
    assert!(nan.contains("dimension 1") && nan.contains("finite"), "{nan}");
    let short = client.refused(&request(&[0.1]));
    assert!(short.contains("4 values") && short.contains("shape [1]"), "{short}");
    assert_eq!(client.actions(&[0.1, 0.2, 0.3, 0.4]), expected);
    drop(client);
    let line = server.wait_for("session 0 of 127.0.0.1");
    assert!(
        line.contains("1 answers") && line.contains("4 errors, the first: the observation does not"),
        "{line}"
    );
    assert!(line.contains("closed by the client") || line.contains("connection broke"), "{line}");
    assert_eq!(server.end().errors, 5);
}

#[test]
fn a_guard_replaces_actions_and_is_counted() {
    let policy = mlp(3);
    let guard = Guard { response: Response::Memory, threshold: 1.0 };
    let server = Server::start(served(policy.clone(), Some(guard)), Options::default());
    let (mut client, mut session) = (Client::connect(&server), policy.session().guarded(guard));
    let mut n_ood = 0;
    for state in states(30) {
        let mut expected = [0.0; ACT];
        n_ood += u64::from(session.act(&state, &mut expected).unwrap().ood);
        assert_eq!(client.actions(&state), expected);
    }
    assert!(n_ood > 3 && n_ood < 27, "{n_ood}");
    let (status, text) = http(&server, "/metrics", "");
    assert_eq!(status, 200);
    for line in [
        "mcnn_requests_total 30".to_owned(),
        format!("mcnn_ood_total {n_ood}"),
        "mcnn_sessions_open 1".into(),
        "mcnn_latency_seconds_count 30".into(),
        "mcnn_distance_bucket{le=\"+Inf\"} 30".into(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert_eq!(server.end().ood, n_ood);
}

#[test]
fn the_key_is_needed_for_sessions_and_metrics_and_not_for_health() {
    let server =
        Server::start(served(mlp(3), None), Options { api_key: Some("s3cret"), ..Options::default() });
    for headers in [&[][..], &[("authorization", "Api-Key s3cre")], &[("authorization", "Bearer s3cret")]] {
        assert_eq!(Client::with_headers(&server, headers).err(), Some(401));
    }
    assert!(Client::with_headers(&server, &[("authorization", "Api-Key s3cret")]).is_ok());
    assert_eq!(http(&server, "/metrics", "").0, 401);
    assert_eq!(http(&server, "/metrics", "Authorization: Api-Key s3cret\r\n").0, 200);
    assert_eq!(http(&server, "/healthz", ""), (200, "OK\n".into()));
    assert_eq!(server.end().refused, 3);
}

#[test]
fn pages_of_other_sites_and_plain_requests_are_refused() {
    let server = Server::start(served(mlp(3), None), Options::default());
    assert_eq!(Client::with_headers(&server, &[("origin", "http://evil.example")]).err(), Some(403));
    assert_eq!(Client::with_headers(&server, &[("origin", "null")]).err(), Some(403));
    // A name that leads to this machine (DNS rebinding).
    let rebound = [("origin", "http://evil.example:80"), ("host", "evil.example:80")];
    assert_eq!(Client::with_headers(&server, &rebound).err(), Some(403));
    for host in ["localhost:9", "LOCALHOST", "192.168.1.5:80", "[::1]:80", "[::1]"] {
        let page = format!("http://{host}");
        assert!(Client::with_headers(&server, &[("origin", &page), ("host", host)]).is_ok(), "{host}");
    }
    let own = format!("http://{}", server.address);
    assert!(Client::with_headers(&server, &[("origin", &own)]).is_ok());
    let (status, text) = http(&server, "/", "");
    assert!(status == 426 && text.contains("openpi"), "{status} {text}");
}

#[test]
fn a_server_of_no_threads_has_one() {
    let mut options = Options::default();
    options.limits.threads = 0;
    let server = Server::start(served(mlp(3), None), options);
    assert_eq!(Client::connect(&server).actions(&[0.0; OBS]).len(), ACT);
}

#[test]
fn a_server_that_ends_closes_its_sessions() {
    let server = Server::start(served(mlp(3), None), Options::default());
    let mut client = Client::connect(&server);
    client.actions(&[0.0; OBS]);
    let address = server.address;
    let report = server.end();
    assert_eq!((report.requests, report.address), (1, address.to_string()));
    match client.socket.read().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    assert!(std::net::TcpStream::connect(address).is_err());
}
