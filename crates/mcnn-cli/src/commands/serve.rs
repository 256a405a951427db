//! `mcnn serve`.

use std::{
    env::{self, VarError},
    net::SocketAddr,
    sync::Arc,
};

use mcnn::{Error, Result, error::Kind, file, seed::Seed};
use mcnn_serve::{ApiKey, Inputs, Live, Protocol, Served, Settings, Watched, serve};

use super::Done;
use crate::{args::ServeArgs, guard, interrupt, print, say::say, task_encoder};

/// The environment variable of the key.
const API_KEY: &str = "MCNN_API_KEY";

pub fn run(args: ServeArgs) -> Result<Done> {
    let limits = args.limits()?;
    let api_key = api_key(&args)?;
    let served = load(&args, true)?;
    let encoder = served.encoder.as_deref();
    let inputs = Inputs::new(&served.policy, encoder, args.state_keys.clone(), args.image_keys.clone())?;
    print::serve_start(&served, &inputs, &limits).lines().for_each(say);
    let address = SocketAddr::new(args.host, args.port());
    if !args.host.is_loopback() {
        let key = match (&api_key, args.protocol) {
            (Some(_), _) => "",
            (None, Protocol::Openpi) => " and no key is needed (--api-key-file)",
            #[cfg(feature = "lerobot")]
            (None, Protocol::Lerobot) => " and no key is needed",
        };
        say(format!(
            "warning: {address} is reached from other machines{key}; nothing is encrypted. Use it in a network that you trust, or behind \
             a tunnel (ssh, WireGuard)"
        ));
    }
    let stop = interrupt::flag();
    let live = Live::new(served, args.actions_per_reply)?;
    let seed = Seed(args.seed);
    let protocol = args.protocol;
    let watched =
        args.watch.then(|| Watched { path: args.policy.clone(), load: Box::new(move || load(&args, false)) });
    let log = Box::new(|line: &str| say(line));
    let settings = Settings { protocol, address, limits, api_key, seed, watched, log };
    let report = serve(live, inputs, settings, stop)?;
    // A server ends by being interrupted.
    Ok(Done { exit_code: interrupt::EXIT_CODE, ..Done::new(&report, print::serve(&report)) })
}

/// Reads the policy as the options say. Notes on them are said the first time alone.
fn load(args: &ServeArgs, is_first: bool) -> Result<Served> {
    let (policy, fingerprint) = file::read_policy(&args.policy)?;
    let policy = if is_first { args.knobs.apply(policy)? } else { args.knobs.set(policy)? };
    let guard = guard::calibrated(&args.guard, Some(&policy))?.map(|calibrated| calibrated.guard);
    let encoder = task_encoder::for_frames(&policy, args.frame_size.map(|size| size.0), &args.weights)?;
    Ok(Served { policy: Arc::new(policy), fingerprint, guard, encoder: encoder.map(Arc::new) })
}

/// The key of the file, or else of the environment.
fn api_key(args: &ServeArgs) -> Result<Option<ApiKey>> {
    match (&args.api_key_file, env::var(API_KEY)) {
        (Some(path), _) => ApiKey::read(path).map(Some),
        (None, Ok(key)) => ApiKey::new(&key).map(Some).map_err(|e| e.at(API_KEY)),
        (None, Err(VarError::NotPresent)) => Ok(None),
        // A server without a key is not what its user asked for.
        (None, Err(VarError::NotUnicode(_))) => {
            Err(Error::new(Kind::Settings, "a key that is not UTF-8").at(API_KEY))
        }
    }
}
