//! Our own safetensors: memories, policies, and what holds a policy. What is read acts.
#![no_main]

use mcnn::file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = file::codebook_from_bytes(bytes);
    let holding = file::constraint_set_from_bytes(bytes);
    let Ok(policy) = file::policy_from_bytes(bytes) else { return };
    assert!(holding.is_ok(), "the policy is whole, and what holds it is not");
    let mut action = vec![0.0; policy.codebook().n_act()];
    let state = vec![1.0; policy.codebook().n_obs()];
    if policy.session().act(&state, &mut action).is_ok() {
        let most = policy.envelope().amplitude.max(1.0);
        assert!(action.iter().all(|a| a.abs() <= most), "the action {action:?} beyond {most}");
    }
    let again = file::policy_to_bytes(&policy);
    assert!(file::policy_from_bytes(&again).is_ok(), "what is written is read");
});
