use super::{
    act::sample,
    shape::{Dropout, Shape},
    *,
};
use crate::{
    backbone::oracle::{BetCase, Oracle},
    seed::Rng,
};

const N_OBS: usize = 5;
const N_ACT: usize = 2;

fn small() -> BetSettings {
    BetSettings { layers: 3, heads: 2, width: 12, window: 4, buckets: 6, dropout: 0.0, ..Default::default() }
}

fn normal(n: usize, rng: &mut Rng) -> Vec<f32> {
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// A network in which every layer has an effect: all parameters are random and larger than at initialization.
fn some(settings: BetSettings, seed: u64) -> Bet {
    let mut rng = Seed(seed).rng();
    let centers = normal(settings.buckets * N_ACT, &mut rng);
    let mut arrays = Arrays::new();
    Bet::random(N_OBS, N_ACT, settings, &centers, Seed(seed)).save_arrays(&mut arrays);
    for (name, (_, values)) in arrays.iter_mut().filter(|(name, _)| *name != "centers") {
        let mean = if name.ends_with("scale") { 1.0 } else { 0.0 };
        values.iter_mut().for_each(|v| *v = (mean + 0.4 * rng.normal()) as f32);
    }
    Bet::load(settings, &arrays).unwrap()
}

fn network_output(bet: &Bet, observations: &[f32], seed: u64, work: &mut ActBuffers) -> Vec<f32> {
    let mut output = Vec::new();
    bet.forward(observations, &mut Seed(seed).rng(), work, &mut output);
    output
}

#[test]
fn acting_on_the_newest_observation_equals_the_reference_network_at_every_step_of_a_window() {
    let (oracle, mut work, mut layers) = (Oracle::bet(), ActBuffers::default(), Vec::new());
    for case in oracle.cases::<BetCase>() {
        let Some(logits) = oracle.get(&case.name, "logits") else { continue };
        let offsets = oracle.array(&case.name, "offsets");
        let BetCase { window, buckets, n_obs, n_act, .. } = case;
        let settings = BetSettings { bucket_selection: BucketSelection::Argmax, ..case.settings() };
        let network = case.network(settings);
        let bet = network.downcast::<Bet>().expect("a behavior transformer");
        let observations = case.observations();
        for (step, (logits, offsets)) in
            logits.chunks(buckets).zip(offsets.chunks(buckets * n_act)).enumerate()
        {
            let what = format!("{}, step {step}", case.name);
            let start = step / window * window;
            let found = network_output(bet, &observations[start * n_obs..(step + 1) * n_obs], 0, &mut work);
            let mut expected = logits.to_vec();
            buckets::softmax(&mut expected);
            let (bucket, probabilities) = work.selected().unwrap();
            for (a, b) in probabilities.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5, "{what}: {a} {b}");
            }
            assert_eq!(bucket, buckets::largest(logits.iter().copied()), "{what}");
            let at = bucket * n_act;
            for ((a, c), o) in found.iter().zip(&bet.centers[at..]).zip(&offsets[at..]) {
                assert!((a - (c + o)).abs() < 1e-4, "{what}: {a} {}", c + o);
            }
        }
        layers.push(case.layers);
    }
    assert!(layers.contains(&1) && layers.contains(&3), "{layers:?}");
}

#[test]
fn the_output_depends_on_earlier_observations_through_attention_alone() {
    // Without attention values and position embeddings, a token depends on its own observation only.
    let settings = BetSettings { bucket_selection: BucketSelection::Argmax, ..small() };
    let mut arrays = Arrays::new();
    some(settings, 5).save_arrays(&mut arrays);
    for (name, (_, values)) in arrays.iter_mut() {
        if name.contains("value") || name == "positions" {
            values.fill(0.0);
        }
    }
    let (alone, whole) = (Bet::load(settings, &arrays).unwrap(), some(settings, 5));
    let mut work = ActBuffers::default();
    let window = normal(4 * N_OBS, &mut Seed(6).rng());
    let newest = &window[3 * N_OBS..];
    assert_eq!(network_output(&alone, &window, 0, &mut work), network_output(&alone, newest, 0, &mut work));
    assert_ne!(
        network_output(&alone, &window, 0, &mut work),
        network_output(&alone, &window[..N_OBS], 0, &mut work)
    );
    assert_ne!(network_output(&whole, &window, 0, &mut work), network_output(&whole, newest, 0, &mut work));
}

#[test]
fn buckets_are_sampled_by_their_probabilities_and_by_the_seed() {
    let bet = some(BetSettings { bucket_selection: BucketSelection::Sample, ..small() }, 7);
    let observations = normal(3 * N_OBS, &mut Seed(8).rng());
    let (mut work, mut counts) = (ActBuffers::default(), [0.0_f32; 6]);
    assert!(work.selected().is_none());
    for seed in 0..20_000 {
        network_output(&bet, &observations, seed, &mut work);
        counts[work.selected().unwrap().0] += 1.0 / 20_000.0;
    }
    let probabilities = work.selected().unwrap().1;
    assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6 && probabilities.iter().all(|p| *p < 0.9));
    for (count, probability) in counts.iter().zip(probabilities) {
        assert!((count - probability).abs() < 0.015, "{counts:?} {probabilities:?}");
    }
    // Sampling is defined for probabilities that are NaN, too.
    let mut rng = Seed(9).rng();
    assert_eq!(sample(&[f32::NAN; 3], &mut rng), 0);
    assert_eq!(
        sample(&[0.0, 1e-9, 0.0], &mut rng),
        1,
        "the remainder of rounding goes to the most probable bucket"
    );
}

#[test]
fn buffers_grow_once() {
    let bet = some(small(), 10);
    let observations = normal(4 * N_OBS, &mut Seed(11).rng());
    let (mut work, mut rng, mut output) = (ActBuffers::default(), Seed(12).rng(), Vec::new());
    bet.forward(&observations, &mut rng, &mut work, &mut output);
    let buffers = |work: &ActBuffers, output: &Vec<f32>| {
        let all = [&work.tokens, &work.normed, &work.keys, &work.values, &work.queries, &work.attended];
        let all = all.into_iter().chain([&work.hidden, &work.scores, &work.probabilities, output]);
        all.map(|v| (v.as_ptr(), v.capacity())).collect::<Vec<_>>()
    };
    let before = buffers(&work, &output);
    for _ in 0..5 {
        bet.forward(&observations, &mut rng, &mut work, &mut output);
    }
    assert_eq!(buffers(&work, &output), before);
}

#[test]
fn dropout_drops_its_share_keeps_the_mean_and_follows_from_the_seed() {
    let shape = Shape::new(&small(), 300);
    let apply = |share: f64, seed: u64| {
        let mut dropout = Dropout::default();
        dropout.sample(share, Seed(seed), &shape);
        let masks = [vec![dropout.tokens(&shape)], (0..3).flat_map(|k| dropout.block(&shape, k)).collect()];
        let all = masks
            .concat()
            .into_iter()
            .flat_map(|mask| mask.bits.iter().map(move |&bits| mask.apply(bits, 1.0)));
        all.collect::<Vec<_>>()
    };
    for share in [0.1, 0.5] {
        let kept = apply(share, 1);
        let dropped = kept.iter().filter(|v| **v == 0.0).count() as f64 / kept.len() as f64;
        assert!((dropped - share).abs() < 0.006, "{dropped}");
        assert!(kept.iter().all(|v| *v == 0.0 || (f64::from(*v) - 1.0 / (1.0 - share)).abs() < 1e-4));
        assert_eq!(kept, apply(share, 1));
        assert_ne!(kept, apply(share, 2));
    }
    assert!(apply(0.0, 1).iter().all(|v| *v == 1.0));
    assert!(apply(0.999_9, 1).iter().any(|v| *v != 0.0), "a share below 1 leaves something");
}

#[test]
fn settings_out_of_range_and_arrays_of_another_network_are_refused() {
    let good = small();
    let mut arrays = Arrays::new();
    some(good, 13).save_arrays(&mut arrays);
    assert_eq!(Bet::load(good, &arrays).unwrap(), some(good, 13));
    for (settings, option) in [
        (BetSettings { layers: 0, ..good }, "--layers"),
        (BetSettings { layers: 65, ..good }, "--layers"),
        (BetSettings { heads: 0, ..good }, "--heads"),
        (BetSettings { heads: 5, ..good }, "--heads"),
        (BetSettings { width: 0, ..good }, "--width"),
        (BetSettings { window: 0, ..good }, "--window"),
        (BetSettings { window: 1001, ..good }, "--window"),
        (BetSettings { buckets: 0, ..good }, "--buckets"),
        (BetSettings { dropout: 1.0, ..good }, "--dropout"),
        (BetSettings { dropout: f64::NAN, ..good }, "--dropout"),
        (BetSettings { gamma: -1.0, ..good }, "--gamma"),
        (BetSettings { offset_weight: 0.0, ..good }, "--offset-weight"),
    ] {
        let message = Bet::load(settings, &arrays).map(drop).unwrap_err().to_string();
        assert!(message.contains(option), "{option}: {message}");
    }
    for other in [
        BetSettings { layers: 4, ..good },
        BetSettings { width: 14, ..good },
        BetSettings { window: 5, ..good },
        BetSettings { buckets: 7, ..good },
    ] {
        let message = Bet::load(other, &arrays).map(drop).unwrap_err().to_string();
        assert!(message.contains("array"), "{message}");
    }
    for name in arrays.keys().cloned().collect::<Vec<_>>() {
        let mut less = arrays.clone();
        less.remove(&name);
        let message = Bet::load(good, &less).map(drop).unwrap_err().to_string();
        assert!(message.contains(&name), "{name}: {message}");
    }
}

#[test]
fn the_scaled_start_shrinks_what_a_block_adds_to_its_input_and_nothing_else() {
    let arrays = |residual_init| {
        let mut arrays = Arrays::new();
        let settings = BetSettings { residual_init, width: 24, ..small() };
        Bet::random(N_OBS, N_ACT, settings, &[0.5; 12], Seed(5)).save_arrays(&mut arrays);
        arrays
    };
    let (normal, scaled) = (arrays(ResidualInit::Normal), arrays(ResidualInit::Scaled));
    let std =
        |values: &[f32]| (values.iter().map(|v| f64::from(v * v)).sum::<f64>() / values.len() as f64).sqrt();
    let mut shrunk = 0;
    for (name, (_, values)) in &scaled {
        let of_block =
            name.starts_with("blocks.") && (name.ends_with("mix.weight") || name.ends_with("down.weight"));
        if of_block {
            // Three blocks of two halves: 0.02 / sqrt(6).
            assert!((std(values) / 0.008_165 - 1.0).abs() < 0.1, "{name}: {}", std(values));
            shrunk += 1;
        } else {
            assert_eq!(values, &normal[name].1, "{name}");
        }
    }
    assert_eq!(shrunk, 6);
    assert!((std(&normal["blocks.0.mix.weight"].1) / 0.02 - 1.0).abs() < 0.1);
}
