//! From its second action on, a session of any backbone allocates nothing. Counted by the allocator of this program, through the functions
//! that C calls.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    ptr::null_mut,
};

use mcnn::{
    backbone::{
        BackboneKind, BackboneSettings as _, Bet, BetSettings, BucketSelection, Diffusion, DiffusionSettings,
        EnergySampler, IbcSettings, KINDS, Layers, Mlp, Network, ResMlp, ResMlpSettings, RetrievalMlp,
        RetrievalSettings, Sampler, Unet, UnetSettings,
    },
    calibration::OodCalibration,
    data::{
        ActionRange, ActionScale, ActionSettings, Demonstrations, DimensionNames, Parts, RelativeTo, Units,
    },
    envelope::{Envelope, Form},
    file::policy_to_bytes,
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    policy::{ActingSettings, Combine, ConstrainAt, Policy},
    seed::Seed,
};
use mcnn_c::{
    McnnDecision, McnnSession, McnnStatus, mcnn_policy_free, mcnn_policy_from_bytes, mcnn_session_act,
    mcnn_session_box, mcnn_session_free, mcnn_session_guard, mcnn_session_new,
};

const OBS: usize = 11;
const ACT: usize = 3;

thread_local! {
    // Of this thread, so that tests at its side do not count. Without a destructor, so that it exists while the thread ends.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts.
struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn data() -> Demonstrations {
    let (episodes, steps) = (20, 30);
    let mut rng = Seed(1).rng();
    let mut draw = |n: usize| (0..n).map(|_| rng.between(-1.0, 1.0) as f32).collect::<Vec<_>>();
    let n = episodes * steps;
    let parts = Parts {
        n_obs: OBS,
        n_act: ACT,
        states: draw(n * OBS),
        actions: draw(n * ACT),
        rewards: None,
        ends: (1..=episodes).map(|k| k * steps).collect(),
    };
    let relative_to = RelativeTo::Dimensions(vec![Some(1), None, Some(4)]);
    let units = Units::Fitted(ActionSettings { scale: ActionScale::Range, relative_to, angles: Vec::new() });
    Demonstrations::scaled(parts, &DimensionNames::default(), &units, ActionRange::Refuse).unwrap().0
}

/// A network of every registered backbone, by its name.
fn networks() -> Vec<(String, Vec<Network>)> {
    let mlp = |seed: u64| -> Network { Mlp::random(&[OBS, 8, 64, 16, 32, ACT], Seed(seed)).into() };
    let retrieval: Network = {
        let layers = Layers::random(&[2 * OBS + ACT, 8, 32, ACT], Seed(1));
        RetrievalMlp::new(RetrievalSettings::default(), layers).unwrap().into()
    };
    let diffusion = |sampler| -> Network {
        let settings = DiffusionSettings { sampler, ..DiffusionSettings::default() };
        Diffusion::random(OBS, &[16, 48], ACT, settings, Seed(1)).into()
    };
    let bet = |bucket_selection| -> Network {
        let settings = BetSettings {
            layers: 2,
            heads: 2,
            width: 16,
            buckets: 6,
            bucket_selection,
            ..BetSettings::default()
        };
        Bet::random(OBS, ACT, settings, &[0.3; 6 * ACT], Seed(1)).into()
    };
    let unet: Network = {
        let settings = UnetSettings { sample_steps: 3, ..UnetSettings::default() };
        Unet::random(OBS, &[8, 16], ACT, settings, Seed(1)).into()
    };
    let resmlp: Network = {
        let settings = ResMlpSettings { sample_steps: 3, ..ResMlpSettings::default() };
        ResMlp::random(OBS, &[24; 2], ACT, settings, Seed(1)).into()
    };
    let ibc = |sampler| -> Network {
        let settings = IbcSettings { sampler, candidates: 32, iterations: 3, ..IbcSettings::default() };
        settings.random(OBS, &[16, 8], ACT, &[], Seed(1))
    };
    let case = |name: &str, networks: Vec<Network>| (name.to_owned(), networks);
    vec![
        case("none", Vec::new()),
        case("mlp", vec![mlp(1)]),
        case("mlp, ensemble", vec![mlp(1), mlp(2), mlp(3)]),
        case("retrieval", vec![retrieval.clone(), retrieval]),
        case("diffusion", vec![diffusion(Sampler::Ddpm)]),
        case("diffusion, ddim", vec![diffusion(Sampler::Ddim)]),
        case("bet", vec![bet(BucketSelection::Sample)]),
        case("bet, argmax", vec![bet(BucketSelection::Argmax)]),
        case("unet", vec![unet]),
        case("resmlp", vec![resmlp]),
        case("ibc", vec![ibc(EnergySampler::Uniform)]),
        case("ibc, langevin", vec![ibc(EnergySampler::Langevin)]),
    ]
}

fn policies() -> Vec<(String, Policy)> {
    let data = data();
    let settings = LearnSettings {
        amount: Amount::Fraction(1.0),
        selection: SelectionMethod::All,
        ..LearnSettings::default()
    };
    let codebook = learn(&data, &settings).unwrap().codebook;
    let with_future = codebook.clone().with_future_actions(&data, 16).unwrap();
    let calibration = OodCalibration::leave_one_episode_out(&codebook, &data);
    let mut all = Vec::new();
    for (name, networks) in networks() {
        for (constrain_at, form) in [
            (ConstrainAt::Executed, Form::Project),
            (ConstrainAt::Denoising, Form::Mix),
            (ConstrainAt::Sampled, Form::Mix),
        ] {
            let lambda = if networks.is_empty() { 0.0 } else { 0.5 };
            let whole = constrain_at != ConstrainAt::Executed;
            let combine = if whole { Combine::Member } else { Combine::Mean };
            let acting = ActingSettings {
                envelope: Envelope { lambda, form, ..Envelope::default() },
                neighbors: if networks.is_empty() && whole { 5 } else { 1 },
                constrain_at,
                combine,
                ..ActingSettings::default()
            };
            let codebook = if ["unet", "resmlp"].contains(&name.as_str()) {
                with_future.clone()
            } else {
                codebook.clone()
            };
            let policy = Policy::ensemble(codebook, networks.clone(), acting).unwrap();
            all.push((format!("{name}, {constrain_at:?}"), policy.with_calibration(calibration.clone())));
        }
    }
    all
}

/// Acts 40 times, with a guard; the first two observations are far from all memories. Returns the allocations of each action.
fn allocations(policy: &Policy) -> Vec<usize> {
    let bytes = policy_to_bytes(policy);
    let (mut policy, mut session) = (null_mut(), null_mut());
    let done = |status: McnnStatus| assert_eq!(status, McnnStatus::Ok);
    // SAFETY: the pointers are of living variables.
    unsafe {
        done(mcnn_policy_from_bytes(bytes.as_ptr(), bytes.len(), &mut policy));
        done(mcnn_session_new(policy, 3, &mut session));
        done(mcnn_session_guard(session, 1, 4.0));
        mcnn_policy_free(policy);
    }
    let counts = (0..40).map(|step| act(session, step)).collect();
    // SAFETY: not freed yet.
    unsafe { mcnn_session_free(session) };
    counts
}

fn act(session: *mut McnnSession, step: usize) -> usize {
    let size = if step < 2 { 100.0 } else { 1.0 };
    let observation: [f32; OBS] = std::array::from_fn(|k| size * ((step * 7 + k * 3) as f32).sin());
    let (mut action, mut low, mut high) = ([0.0; ACT], [0.0; ACT], [0.0; ACT]);
    let mut decision = std::mem::MaybeUninit::<McnnDecision>::uninit();
    let before = ALLOCATIONS.get();
    // SAFETY: the session lives, and the arrays have these lengths.
    let statuses = unsafe {
        let action = action.as_mut_ptr();
        [
            mcnn_session_act(session, observation.as_ptr(), OBS, action, ACT, decision.as_mut_ptr()),
            mcnn_session_box(session, low.as_mut_ptr(), high.as_mut_ptr(), ACT),
        ]
    };
    let count = ALLOCATIONS.get() - before;
    assert_eq!(statuses, [McnnStatus::Ok; 2]);
    // SAFETY: the call succeeded and wrote it.
    let decision = unsafe { decision.assume_init() };
    assert_eq!(decision.ood, step < 2);
    count
}

#[test]
fn nothing_is_allocated_from_the_second_action_on() {
    let mut wrong = Vec::new();
    for (name, policy) in policies() {
        let counts = allocations(&policy);
        assert!(ALLOCATIONS.get() > 0, "the counter counts");
        if counts[1..].iter().any(|count| *count > 0) {
            wrong.push(format!("{name}: {counts:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_backbone_is_tested() {
    let tested: Vec<String> = networks().iter().map(|(name, _)| name.clone()).collect();
    for BackboneKind { name, .. } in KINDS {
        assert!(tested.iter().any(|tested| tested.starts_with(name)), "{name}");
    }
}
