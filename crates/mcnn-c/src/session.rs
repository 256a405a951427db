//! Sessions: one episode of a policy each.

use std::sync::Arc;

use mcnn::{
    policy::{Constrained, Guard, Response, Session},
    seed::Seed,
};

use crate::{
    error::{
        Failure, McnnStatus, Outcome, argument, array, call, check_length, check_out, exclusive, shared,
    },
    policy::McnnPolicy,
};

/// One episode of a policy.
pub struct McnnSession {
    session: Session<'static>,
    n_obs: usize,
    action: Vec<f32>, // [n_act], before it is copied to the caller, whose memory may be uninitialized
    /// Set while a call works on the session: it stays set if a panic ends the call.
    is_broken: bool,
}

/// How an action came about.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McnnDecision {
    /// The distance to the nearest memory, in standardized units.
    pub distance: f32,
    /// The weight of the memory, exp(-lambda distance), from 0 to 1.
    pub weight: f32,
    /// Half the width of the box around the memory's action that every action lies in, of actions in [-1, 1].
    pub radius: f32,
    /// The share of calibration states that are nearer to their memories; NaN without a calibration.
    pub quantile: f32,
    /// The disagreement of an ensemble's networks; NaN for one network.
    pub member_std: f32,
    /// The number of the nearest memory.
    pub memory: u64,
    /// The demonstrated episode of the memory.
    pub episode: u32,
    /// The step in that episode.
    pub step: u32,
    /// The number of the action in its chunk; 0 for policies that predict one action at a time.
    pub chunk_step: u32,
    /// Whether the observation is out of distribution according to the guard.
    pub ood: bool,
    /// Whether the guard asks to stop before the action is taken.
    pub stop: bool,
}

/// What a guard does in a state farther from all memories than its threshold.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McnnResponse {
    /// Sets `ood` alone.
    Warn = 0,
    /// Repeats the last action taken in a nearer state.
    Hold = 1,
    /// Takes the nearest memory's action.
    Memory = 2,
    /// Takes it, and sets `stop`.
    Stop = 3,
}

impl From<Constrained> for McnnDecision {
    fn from(constrained: Constrained) -> Self {
        Self {
            distance: constrained.retrieval.distance,
            weight: constrained.region.weight,
            radius: constrained.region.radius,
            quantile: constrained.quantile.unwrap_or(f32::NAN),
            member_std: constrained.member_std.unwrap_or(f32::NAN),
            memory: constrained.retrieval.memory as u64,
            episode: constrained.source.episode,
            step: constrained.source.step,
            chunk_step: constrained.chunk_step as u32,
            ood: constrained.ood,
            stop: constrained.stop,
        }
    }
}

/// Starts an episode. Equal seeds give equal actions for equal observations. Writes the session to `session`, which mcnn_session_free frees; NULL if
/// it fails. The policy may be freed before its sessions.
///
/// # Safety
/// `policy` is NULL or a policy; `session` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_session_new(
    policy: *const McnnPolicy,
    seed: u64,
    session: *mut *mut McnnSession,
) -> McnnStatus {
    call(|| {
        check_out(session, "session")?;
        // SAFETY: as the caller promises; null is checked.
        unsafe { session.write(std::ptr::null_mut()) };
        // SAFETY: as the caller promises.
        let McnnPolicy(policy) = unsafe { shared(policy, "policy")? };
        let [n_obs, n_act] = [policy.codebook().n_obs(), policy.codebook().n_act()];
        let episode = Session::shared(Arc::clone(policy), Seed(seed));
        let started = McnnSession { session: episode, n_obs, action: vec![0.0; n_act], is_broken: false };
        // SAFETY: as the caller promises; null is checked.
        unsafe { session.write(Box::into_raw(Box::new(started))) };
        Ok(())
    })
}

/// Frees a session; NULL is allowed.
///
/// # Safety
/// `session` is NULL or of this library, and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_session_free(session: *mut McnnSession) {
    if !session.is_null() {
        call(|| {
            // SAFETY: as the caller promises; `mcnn_session_new` made it from a box.
            drop(unsafe { Box::from_raw(session) });
            Ok(())
        });
    }
}

/// Guards the episode from its next action on: a state whose distance to the nearest memory is above `threshold` (0 or more) is out of
/// distribution. `response` is one of McnnResponse.
///
/// # Safety
/// `session` is NULL or a session that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_session_guard(
    session: *mut McnnSession,
    response: u32,
    threshold: f32,
) -> McnnStatus {
    call(|| {
        // SAFETY: as the caller promises.
        let session = unsafe { usable(session)? };
        let responses = [
            (McnnResponse::Warn, Response::Warn),
            (McnnResponse::Hold, Response::Hold),
            (McnnResponse::Memory, Response::Memory),
            (McnnResponse::Stop, Response::Stop),
        ];
        let (_, response) = responses
            .into_iter()
            .find(|(named, _)| *named as u32 == response)
            .ok_or_else(|| argument(format!("{response} is no response of a guard: expected 0 to 3")))?;
        if threshold.is_nan() || threshold < 0.0 {
            return Err(Failure(
                McnnStatus::Settings,
                format!("a threshold of {threshold}: expected 0 or more"),
            ));
        }
        session.session.set_guard(Some(Guard { response, threshold }));
        Ok(())
    })
}

/// Writes the action for an observation, both in the units of the demonstrations, and, unless it is NULL, how the action came about. If it fails,
/// neither is written and, except after MCNN_STATUS_INTERNAL, the episode goes on as if the call had not been made.
///
/// # Safety
/// `session` is NULL or a session that no other thread uses; `observation` is NULL or has `n_obs` values; `action` is NULL or has room for `n_act`;
/// `decision` is NULL or can be written. They do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_session_act(
    session: *mut McnnSession,
    observation: *const f32,
    n_obs: usize,
    action: *mut f32,
    n_act: usize,
    decision: *mut McnnDecision,
) -> McnnStatus {
    call(|| {
        // SAFETY: as the caller promises.
        let session = unsafe { usable(session)? };
        check_length("observation", session.n_obs, n_obs)?;
        check_length("action", session.action.len(), n_act)?;
        // SAFETY: as the caller promises.
        let observation = unsafe { array(observation, n_obs, "observation")? };
        check_out(action, "action")?;
        session.is_broken = true;
        let constrained = session.session.act(observation, &mut session.action);
        session.is_broken = false;
        let constrained = constrained?;
        // SAFETY: as the caller promises; null and the length are checked.
        unsafe {
            action.copy_from_nonoverlapping(session.action.as_ptr(), n_act);
            if !decision.is_null() {
                decision.write(constrained.into());
            }
        }
        Ok(())
    })
}

/// Writes the box that the last action lies in, lower and upper bound by dimension, in the units of the demonstrations. A guard with
/// MCNN_RESPONSE_HOLD may repeat an action outside it. An error before the first action.
///
/// # Safety
/// `session` is NULL or a session that no other thread uses; `low` and `high` are NULL or have room for `n_act` values, and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_session_box(
    session: *const McnnSession,
    low: *mut f32,
    high: *mut f32,
    n_act: usize,
) -> McnnStatus {
    call(|| {
        // SAFETY: as the caller promises.
        let session = unsafe { shared(session, "session")? };
        check_usable(session)?;
        check_length("low and high", session.action.len(), n_act)?;
        check_out(low, "low")?;
        check_out(high, "high")?;
        let mut dimensions = 0;
        for (k, [lower, upper]) in session.session.permissible_bounds().take(n_act).enumerate() {
            // SAFETY: as the caller promises; null is checked, and `k` is below the length.
            unsafe {
                low.add(k).write(lower);
                high.add(k).write(upper);
            }
            dimensions += 1;
        }
        if dimensions == 0 {
            return Err(argument("the session has not acted yet"));
        }
        Ok(())
    })
}

/// A session that can be used.
///
/// # Safety
/// As [`exclusive`].
unsafe fn usable<'a>(session: *mut McnnSession) -> Outcome<&'a mut McnnSession> {
    // SAFETY: as this function's caller promises.
    let session = unsafe { exclusive(session, "session")? };
    check_usable(session)?;
    Ok(session)
}

fn check_usable(session: &McnnSession) -> Outcome {
    if !session.is_broken {
        return Ok(());
    }
    let text = "an earlier call on this session ended by an error inside mcnn: start a new session";
    Err(Failure(McnnStatus::Internal, text.into()))
}
