//! Policies of mcnn for programs in C and C++. `include/mcnn.h` is made from these functions by cbindgen.
//!
//! Every function that can fail checks its pointers and lengths, catches panics and returns a [`McnnStatus`]; the text of an error is kept by
//! thread. `unsafe` is needed where a pointer of the caller is read or written: what the caller promises is written at each function, and a null
//! pointer is an error, not undefined.

mod error;
mod policy;
mod session;

pub use error::{McnnStatus, mcnn_last_error};
pub use policy::{
    McnnPolicy, mcnn_policy_free, mcnn_policy_from_bytes, mcnn_policy_load, mcnn_policy_n_act,
    mcnn_policy_n_obs, mcnn_policy_ood_distance, mcnn_version,
};
pub use session::{
    McnnDecision, McnnResponse, McnnSession, mcnn_session_act, mcnn_session_box, mcnn_session_free,
    mcnn_session_guard, mcnn_session_new,
};
