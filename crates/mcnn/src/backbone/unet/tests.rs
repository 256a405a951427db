use super::{act::ActBuffers, net::UnetWorkspace, *};
use crate::{
    backbone::{Episode, PredictionType, Sampler, Schedule, chunk_reference::denoised},
    seed::Rng,
};

fn all_settings() -> Vec<UnetSettings> {
    let mut all = Vec::new();
    for (prediction, sampler, schedule) in [
        (PredictionType::Sample, Sampler::Ddim, Schedule::Cosine),
        (PredictionType::Sample, Sampler::Ddpm, Schedule::Vp),
        (PredictionType::Epsilon, Sampler::Ddim, Schedule::Linear),
        (PredictionType::Epsilon, Sampler::Ddpm, Schedule::Vp),
    ] {
        for (steps, sample_steps) in [(1, 1), (20, 20), (100, 7)] {
            let settings = UnetSettings { prediction, sampler, schedule, steps, sample_steps, ..small() };
            all.push(settings);
        }
    }
    all
}

fn small() -> UnetSettings {
    UnetSettings { horizon: 8, executed: 3, groups: 2, ema: 0.0, ..Default::default() }
}

fn draw(rng: &mut Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// A chunk by the network of training and the definition of the sampler, in f64.
fn reference(unet: &Unet, window: &[f32], seed: Seed, constrain: Constrain) -> Vec<f32> {
    let (net, parameters) = UnetNet::new(unet);
    let mut workspace = UnetWorkspace::default();
    denoised(
        &unet.settings.denoising(),
        unet.settings.prediction,
        unet.n_act(),
        seed,
        constrain,
        |noisy, t| net.forward(&parameters, noisy, &[t], window, &mut workspace).0,
    )
}

#[test]
fn acting_and_training_networks_agree_with_every_sampler() {
    let mut rng = Seed(7).rng();
    for settings in all_settings() {
        for widths in [&[6, 8, 10][..], &[12]] {
            let unet = Unet::random(5, widths, 3, settings, Seed(3));
            let (net, parameters) = UnetNet::new(&unet);
            assert_eq!(net.with_parameters(&parameters), unet);
            let constrain = |k: usize, g: f32| 0.01 * k as f32 + 0.6 * g.clamp(-1.0, 1.0);
            for seed in 0..2 {
                let window = draw(&mut rng, 2 * 5);
                let (mut scratch, mut output) = (ActBuffers::default(), Vec::new());
                unet.denoise(&window, (&mut scratch, &mut Seed(seed).rng(), &mut output), &constrain);
                assert_eq!(output.len(), 8 * 3);
                for (a, b) in output.iter().zip(reference(&unet, &window, Seed(seed), &constrain)) {
                    // Epsilon prediction divides by sqrt(alpha_bar), which is 1/12 at the least.
                    assert!((a - b).abs() < 3e-4 * b.abs().max(1.0), "{settings:?}: {a} {b}");
                }
            }
        }
    }
}

#[test]
fn an_episode_depends_on_its_seed_and_its_window_and_its_buffers_grow_once() {
    let unet = Unet::random(3, &[8, 16], 2, small(), Seed(1));
    let chunk = |episode: &mut Episode, observation: [f32; 3]| {
        episode.observe(&unet, &observation);
        episode.predict(&unet, &|_, g| g.clamp(-1.0, 1.0));
        episode.network_output().to_vec()
    };
    let (a, b) = ([0.1, 0.2, 0.3], [0.5, -0.4, 1.0]);
    let start = |seed| Episode::new(Seed(seed));
    let (mut one, mut two) = (start(1), start(1));
    assert_eq!(chunk(&mut one, a), chunk(&mut two, a));
    assert_ne!(chunk(&mut start(1), a), chunk(&mut start(2), a));
    // The first observation fills the window until there is a second one.
    let mut twice = start(1);
    twice.observe(&unet, &a);
    assert_eq!(chunk(&mut twice, a), chunk(&mut start(1), a));
    let mut after = start(1);
    after.observe(&unet, &b);
    assert_ne!(chunk(&mut after, a), chunk(&mut start(1), a));
    let mut long_after = start(1);
    [b, a].iter().for_each(|observation| long_after.observe(&unet, observation));
    assert_eq!(
        chunk(&mut long_after, a),
        chunk(&mut start(1), a),
        "observations older than the window have no effect"
    );
    let places =
        |episode: &Episode| episode.state.workspace.existing::<ActBuffers>().expect("its buffers").places();
    let before = places(&one);
    for k in 0..10 {
        chunk(&mut one, [k as f32; 3]);
    }
    assert_eq!(places(&one), before);
}

#[test]
fn initialization_is_pytorchs_and_the_papers_network_has_the_published_number_of_parameters() {
    let unet = Unet::random(60, &[256, 512, 1024], 9, UnetSettings::default(), Seed(0));
    // Counted by PyTorch, of the network in python/tests/torch_unet.py with these widths and 8 groups.
    assert_eq!(unet.parameters.len(), 66_942_729);
    let arrays = unet.to_arrays(&unet.parameters);
    let largest = |name: &str| arrays[name].1.iter().fold(0.0_f32, |m, w| m.max(w.abs()));
    for (name, inputs) in [
        ("middle.0.first.weight", 5 * 1024),
        ("middle.0.first.bias", 5 * 1024),
        ("up.1.double.weight", 4 * 512),
        ("down.0.0.around.weight", 9),
        ("film.weight", 256 + 2 * 60),
    ] {
        let bound = 1.0 / (inputs as f32).sqrt();
        assert!((0.99 * bound..=bound).contains(&largest(name)), "{name}: {} {bound}", largest(name));
    }
    assert!(arrays["end.0.gamma"].1.iter().all(|g| *g == 1.0) && largest("end.0.beta") == 0.0);
}

#[test]
fn tensors_are_read_back_and_those_of_another_network_are_refused() {
    let unet = Unet::random(5, &[8, 16], 3, small(), Seed(3));
    let arrays = unet.to_arrays(&unet.parameters);
    assert_eq!(Unet::load(small(), &arrays).unwrap(), unet);
    let refused = |settings, arrays: &Arrays| Unet::load(settings, arrays).unwrap_err().to_string();
    for name in arrays.keys() {
        let mut less = arrays.clone();
        less.remove(name);
        assert!(!refused(small(), &less).is_empty());
        let mut other = arrays.clone();
        other.get_mut(name).unwrap().0.push(1);
        assert!(!refused(small(), &other).is_empty());
    }
    let mut more = arrays.clone();
    more.insert("down.1.halve.weight".into(), (vec![1], vec![0.0]));
    assert!(refused(small(), &more).contains("down.1.halve.weight"));
    // 10 observed values are no window of 3 observations.
    assert!(refused(UnetSettings { window: 3, ..small() }, &arrays).contains("film.weight"));
    assert!(refused(UnetSettings { kernel: 3, ..small() }, &arrays).contains("found: [5, 3, 8]"));
    assert!(refused(UnetSettings { horizon: 7, ..small() }, &arrays).contains("--horizon"));
}

#[test]
fn settings_and_widths_out_of_range_are_refused() {
    let good = UnetSettings::default();
    assert_eq!(good.validate(&[32, 64, 128]), Ok(()));
    assert_eq!(good.validate(&[256, 512, 1024]), Ok(()));
    for (settings, widths, option, part) in [
        (UnetSettings { horizon: 0, ..good }, &[32][..], "--horizon", "1 to 256"),
        (UnetSettings { horizon: 18, ..good }, &[32, 64, 128], "--horizon", "divisible by 4: 3 widths"),
        (UnetSettings { executed: 17, ..good }, &[32], "--execute", "1 to 16"),
        (UnetSettings { executed: 0, ..good }, &[32], "--execute", "1 to 16"),
        (UnetSettings { window: 0, ..good }, &[32], "window", "1 to 16"),
        (UnetSettings { kernel: 4, ..good }, &[32], "kernel", "odd"),
        (UnetSettings { steps: 1001, ..good }, &[32], "--diffusion-steps", "1 to 1000"),
        (UnetSettings { sample_steps: 101, ..good }, &[32], "--sample-steps", "1 to 100"),
        (UnetSettings { sample_steps: 0, ..good }, &[32], "--sample-steps", "1 to 100"),
        (UnetSettings { ema: 1.0, ..good }, &[32], "--ema", "not 1"),
        (UnetSettings { ema: f64::NAN, ..good }, &[32], "--ema", "not 1"),
        (UnetSettings { groups: 0, ..good }, &[32], "--hidden", "divisible by 0"),
        (good, &[32, 60], "--hidden", "divisible by 8"),
        (UnetSettings { groups: 1, ..good }, &[33], "--hidden", "even"),
        (good, &[], "--hidden", "1 to 5 widths"),
        (good, &[8; 6], "--hidden", "1 to 5 widths"),
        (UnetSettings { groups: 1, ..good }, &[2], "--hidden", "4 to 4096"),
    ] {
        let invalid = settings.validate(widths).expect_err(part);
        assert!(invalid.option == option && invalid.expected.contains(part), "{invalid:?}: {option} {part}");
    }
}

#[test]
fn the_running_mean_keeps_what_its_formula_says() {
    let settings = UnetSettings { ema: 0.9, ..Default::default() };
    // Python: 1 - (1 + k) ** -0.75 for k = 1, 2, 3.
    for (step, expected) in
        [(1, 0.0), (2, 0.0), (3, 0.405_396_442), (4, 0.561_308_662), (5, 0.646_446_609), (100, 0.9)]
    {
        assert!((settings.ema_decay(step).unwrap() - expected).abs() < 1e-9, "{step}");
    }
}
