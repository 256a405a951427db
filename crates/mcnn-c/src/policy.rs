//! Policies: loading, dimensions, and the distance beyond which a state is out of distribution.

use std::{
    ffi::{CStr, c_char},
    path::Path,
    sync::Arc,
};

use mcnn::{Error, calibration::OodQuantile, error::Kind, file, policy::Policy};

use crate::error::{McnnStatus, Outcome, argument, array, call, check_out, shared};

/// A policy. It never changes.
pub struct McnnPolicy(pub(crate) Arc<Policy>);

/// The version of the library, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn mcnn_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no zero"),
        };
    VERSION.as_ptr()
}

/// Reads a policy from a file of `mcnn train`. Writes it to `policy`, which mcnn_policy_free frees; NULL if it fails.
///
/// # Safety
/// `path` is NULL or a string that ends with a zero; `policy` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_policy_load(path: *const c_char, policy: *mut *mut McnnPolicy) -> McnnStatus {
    // SAFETY: as the caller promises.
    unsafe {
        load(policy, || {
            if path.is_null() {
                return Err(argument("path is NULL"));
            }
            let path = CStr::from_ptr(path).to_str().map_err(|_| argument("path is not UTF-8"))?;
            Ok(file::read_policy(Path::new(path))?.0)
        })
    }
}

/// Reads a policy from the bytes of such a file. The bytes are not used afterwards.
///
/// # Safety
/// `bytes` is NULL or has `length` bytes; `policy` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_policy_from_bytes(
    bytes: *const u8,
    length: usize,
    policy: *mut *mut McnnPolicy,
) -> McnnStatus {
    // SAFETY: as the caller promises.
    unsafe { load(policy, || Ok(file::policy_from_bytes(array(bytes, length, "bytes")?)?)) }
}

/// Writes the policy that `read` reads to `to`.
///
/// # Safety
/// `to` is null or can be written.
unsafe fn load(to: *mut *mut McnnPolicy, read: impl FnOnce() -> Outcome<Policy>) -> McnnStatus {
    call(|| {
        check_out(to, "policy")?;
        // SAFETY: as this function's caller promises; null is checked.
        unsafe { to.write(std::ptr::null_mut()) };
        let policy = read()?;
        if policy.codebook().parts().encoding.is_some() {
            return Err(Error::new(
                Kind::Settings,
                "the policy acts on camera frames, which this interface does not take",
            )
            .at("the image encoder")
            .next("act in Rust or Python, or by the server")
            .into());
        }
        // SAFETY: as before.
        unsafe { to.write(Box::into_raw(Box::new(McnnPolicy(Arc::new(policy))))) };
        Ok(())
    })
}

/// Frees a policy; NULL is allowed. Its sessions stay valid.
///
/// # Safety
/// `policy` is NULL or of this library, and not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_policy_free(policy: *mut McnnPolicy) {
    if !policy.is_null() {
        call(|| {
            // SAFETY: as the caller promises; `load` made it from a box.
            drop(unsafe { Box::from_raw(policy) });
            Ok(())
        });
    }
}

/// The number of values of an observation; 0 for NULL.
///
/// # Safety
/// `policy` is NULL or a policy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_policy_n_obs(policy: *const McnnPolicy) -> usize {
    // SAFETY: as the caller promises.
    unsafe { policy.as_ref() }.map_or(0, |policy| policy.0.codebook().n_obs())
}

/// The number of values of an action; 0 for NULL.
///
/// # Safety
/// `policy` is NULL or a policy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_policy_n_act(policy: *const McnnPolicy) -> usize {
    // SAFETY: as the caller promises.
    unsafe { policy.as_ref() }.map_or(0, |policy| policy.0.codebook().n_act())
}

/// Writes the distance to the nearest memory below which a share of the calibration states are: a threshold for mcnn_session_guard. `quantile`:
/// above 0, at most 1, such as 0.99. An error if the policy has no calibration.
///
/// # Safety
/// `policy` is NULL or a policy; `distance` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcnn_policy_ood_distance(
    policy: *const McnnPolicy,
    quantile: f64,
    distance: *mut f32,
) -> McnnStatus {
    call(|| {
        // SAFETY: as the caller promises.
        let policy = unsafe { shared(policy, "policy")? };
        check_out(distance, "distance")?;
        let calibration = policy.0.calibration().ok_or_else(|| {
            Error::new(Kind::Settings, "the policy has no OOD calibration")
                .next("train it from two episodes or more")
        })?;
        let threshold = calibration.threshold(OodQuantile::States(quantile))?;
        // SAFETY: as the caller promises; null is checked.
        unsafe { distance.write(threshold.distance) };
        Ok(())
    })
}
