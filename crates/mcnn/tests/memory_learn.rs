//! Properties of selection methods, codebooks and retrieval.

use mcnn::{
    data::{ActionRange, Demonstrations, Parts},
    memory::{Amount, LearnSettings, SelectionMethod, learn},
    seed::Seed,
};

const ALL: [SelectionMethod; 6] = [
    SelectionMethod::Gas,
    SelectionMethod::GasFixed,
    SelectionMethod::Random,
    SelectionMethod::Kmeans,
    SelectionMethod::Kcenter,
    SelectionMethod::All,
];

/// Episodes of a random walk on a coarse grid, so that states repeat; one dimension never varies.
fn random_walks(episodes: usize, steps: usize, seed: u64) -> Demonstrations {
    random_walks_in(3, episodes, steps, seed)
}

fn random_walks_in(width: usize, episodes: usize, steps: usize, seed: u64) -> Demonstrations {
    let mut rng = Seed(seed).rng();
    let (mut states, mut actions, mut ends) = (vec![], vec![], vec![]);
    for e in 0..episodes {
        let mut at = vec![0.0_f64; width];
        for _ in 0..steps {
            at.iter_mut().for_each(|a| *a += (rng.normal() * 1.5).round());
            states.extend(at.iter().map(|&v| v as f32));
            states.push(7.5);
            actions.extend([rng.between(-1.0, 1.0) as f32, (at[0] as f32 / 10.0).clamp(-1.0, 1.0)]);
        }
        ends.push((e + 1) * steps);
    }
    Demonstrations::new(
        Parts { n_obs: width + 1, n_act: 2, states, actions, rewards: None, ends },
        ActionRange::Refuse,
    )
    .unwrap()
}

fn settings(by: SelectionMethod, count: usize) -> LearnSettings {
    LearnSettings {
        amount: Amount::Count(count),
        selection: by,
        epochs: 3,
        seed: Seed(4),
        ..Default::default()
    }
}

/// Standardized distances by definition, in f64.
fn plain_distance(data: &Demonstrations, a: &[f32], b: &[f32]) -> f64 {
    let n = data.n_steps() as f64;
    let std = |k: usize| {
        let column = || (0..data.n_steps()).map(|i| f64::from(data.state(i)[k]));
        let mean = column().sum::<f64>() / n;
        (column().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
    };
    let std: Vec<f64> = (0..data.n_obs()).map(std).collect();
    let floor = 1e-3 * std.iter().fold(0.0_f64, |largest, std| largest.max(*std)).min(1.0);
    let scale = |k: usize| if std[k] == 0.0 { 1.0 } else { std[k] + floor };
    (0..data.n_obs()).map(|k| ((f64::from(a[k]) - f64::from(b[k])) / scale(k)).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_coverage_of_all_states_is_that_of_a_search_for_each() {
    let data = random_walks(5, 80, 9);
    let all = settings(SelectionMethod::All, 1);
    let fraction = |by| LearnSettings { amount: Amount::Fraction(1.0), ..settings(by, 1) };
    let learned = learn(&data, &all).unwrap();
    assert!(learned.repeated > 10);
    assert_eq!(learned.coverage, learned.codebook.coverage(&data));
    assert_eq!((learned.coverage.max, learned.coverage.isolated), (0.0, data.step(0)));
    let distinct = random_walks_in(9, 5, 80, 9);
    for by in [SelectionMethod::Random, SelectionMethod::Kcenter] {
        let learned = learn(&distinct, &fraction(by)).unwrap();
        assert_eq!(learned.coverage, learned.codebook.coverage(&distinct));
    }
    let fewer = learn(&data, &settings(SelectionMethod::Random, 50)).unwrap();
    assert!(fewer.coverage.max > 0.0);
    assert_eq!(fewer.coverage, fewer.codebook.coverage(&data));
}

#[test]
fn every_method_selects_the_requested_number_of_distinct_states() {
    let data = random_walks(6, 100, 1);
    for by in ALL {
        for count in [1, 2, 60, 200] {
            let learned = learn(&data, &settings(by, count)).unwrap();
            let book = &learned.codebook;
            if by != SelectionMethod::All {
                assert_eq!(book.len(), count, "{by}");
            }
            let mut states: Vec<Vec<u32>> = Vec::new();
            for m in 0..book.len() {
                let i = data.find(book.source(m)).expect("a memory's source is a step of the data");
                assert_eq!((book.state(m), book.action(m)), (&data.state(i)[..], &data.action(i)[..]));
                states.push(book.state(m).iter().map(|v| v.to_bits()).collect());
            }
            states.sort();
            states.dedup();
            assert_eq!(states.len(), book.len(), "{by}: no state is a memory twice");
            for &[a, b] in &book.parts().edges {
                assert!(a < b && (b as usize) < book.len());
            }
            if count > 2 {
                assert!(!book.parts().edges.is_empty(), "{by} has a graph");
            }
        }
    }
}

#[test]
fn coverage_is_the_distribution_of_distances() {
    let data = random_walks(4, 60, 2);
    let learned = learn(&data, &settings(SelectionMethod::Random, 30)).unwrap();
    let book = &learned.codebook;
    let nearest = |i: usize| {
        (0..book.len())
            .map(|m| plain_distance(&data, &data.state(i), book.state(m)))
            .fold(f64::INFINITY, f64::min)
    };
    let mut expected: Vec<f64> = (0..data.n_steps()).map(nearest).collect();
    let isolated = data.find(learned.coverage.isolated).unwrap();
    assert!((expected[isolated] - f64::from(learned.coverage.max)).abs() < 1e-5);
    expected.sort_by(f64::total_cmp);
    for (found, at) in
        [(learned.coverage.median, 0.5), (learned.coverage.p95, 0.95), (learned.coverage.max, 1.0)]
    {
        let index = ((expected.len() - 1) as f64 * at).round() as usize;
        assert!((f64::from(found) - expected[index]).abs() < 1e-5, "{at}");
    }
}

#[test]
fn farthest_point_sampling_is_within_twice_the_optimum_and_better_than_random() {
    let data = random_walks(6, 100, 3);
    let far = |by| learn(&data, &settings(by, 40)).unwrap().coverage.max;
    // Gonzalez: the k + 1 points (the selected ones and the farthest other one) are at least `max` apart, so for any k
    // memories one of them is at a distance of max / 2 or more.
    let spread = learn(&data, &settings(SelectionMethod::Kcenter, 40)).unwrap();
    for a in 0..40 {
        for b in 0..a {
            let apart = plain_distance(&data, spread.codebook.state(a), spread.codebook.state(b));
            assert!(apart >= f64::from(spread.coverage.max) - 1e-5);
        }
    }
    assert!(far(SelectionMethod::Kcenter) < far(SelectionMethod::Random));
    let median = |by| learn(&data, &settings(by, 40)).unwrap().coverage.median;
    for by in [SelectionMethod::Gas, SelectionMethod::Kmeans] {
        assert!(
            median(by) < median(SelectionMethod::Random),
            "{by}: {} against {}",
            median(by),
            median(SelectionMethod::Random)
        );
    }
}

#[test]
fn graph_search_gives_the_exact_result_and_reports_what_it_pruned() {
    let data = random_walks_in(30, 5, 200, 5);
    for by in [SelectionMethod::Gas, SelectionMethod::Random] {
        let book = learn(&data, &settings(by, 300)).unwrap().codebook;
        let mut state = book.scaled_buffer();
        let (mut last, mut saved, mut found) = (0, 0.0, 0);
        for i in 0..data.n_steps() {
            book.scale(&data.state(i), &mut state);
            let search = book.retrieve_by_graph(&state, last);
            assert_eq!(search.retrieval, book.retrieve(&state), "{by}, step {i}");
            assert!((0.0..=1.0).contains(&search.saved) && search.measured >= 1);
            (last, saved, found) =
                (search.retrieval.memory, saved + search.saved, found + usize::from(search.is_exact));
        }
        assert!(saved > 0.0 && found > data.n_steps() / 4, "{by}: saved {saved}, found {found}");
    }
}

#[test]
fn leave_one_episode_out_retrieval_ignores_memories_of_the_states_episode() {
    let data = random_walks(3, 50, 6);
    let book = learn(&data, &settings(SelectionMethod::All, 1)).unwrap().codebook;
    for (i, retrieval) in book.retrieve_leave_one_episode_out(&data).into_iter().enumerate() {
        let own = data.step(i).episode;
        let retrieval = retrieval.unwrap();
        assert_ne!(book.source(retrieval.memory).episode, own);
        let expected = (0..book.len())
            .filter(|&m| book.source(m).episode != own)
            .map(|m| plain_distance(&data, &data.state(i), book.state(m)))
            .fold(f64::INFINITY, f64::min);
        assert!((f64::from(retrieval.distance) - expected).abs() < 1e-5);
    }
    let alone = random_walks(1, 50, 6);
    let book = learn(&alone, &settings(SelectionMethod::All, 1)).unwrap().codebook;
    assert!(book.retrieve_leave_one_episode_out(&alone).iter().all(Option::is_none));
}

#[test]
fn ignored_dimensions_do_not_affect_distances() {
    let data = random_walks(4, 50, 7);
    let ignoring = |ignore: &[usize]| {
        let settings = LearnSettings { ignore: ignore.to_vec(), ..settings(SelectionMethod::Gas, 20) };
        learn(&data, &settings)
    };
    let book = ignoring(&[1]).unwrap().codebook;
    assert_eq!(book.parts().scale.ignored(), [1]);
    let (mut a, mut b) = (book.scaled_buffer(), book.scaled_buffer());
    for i in 0..data.n_steps() {
        let mut other = data.state(i).to_vec();
        other[1] = -1e30;
        book.scale(&data.state(i), &mut a);
        book.scale(&other, &mut b);
        assert!(a == b && a.values()[1] == 0.0);
        assert_eq!(book.retrieve(&a), book.retrieve(&b));
    }
    // The memories are those of the data with a constant in that dimension.
    let mut parts = mcnn::data::Parts::from(data.clone());
    parts.states.iter_mut().skip(1).step_by(data.n_obs()).for_each(|x| *x = 0.5);
    let flat = Demonstrations::new(parts, ActionRange::Refuse).unwrap();
    let expected = learn(&flat, &settings(SelectionMethod::Gas, 20)).unwrap().codebook;
    assert_eq!(book.parts().sources, expected.parts().sources);
    assert_ne!(book.parts().sources, ignoring(&[]).unwrap().codebook.parts().sources);

    let refused = |ignore: &[usize]| ignoring(ignore).unwrap_err().to_string();
    assert!(refused(&[99]).contains("--ignore-dims"));
    let all: Vec<usize> = (0..data.n_obs()).collect();
    assert!(refused(&all).contains("all dimensions of the state are ignored"));
}

#[test]
fn smooth_neighbors_averages_the_actions_of_the_nearest_steps() {
    let data = random_walks(4, 50, 7);
    let sharp = learn(&data, &settings(SelectionMethod::Random, 20)).unwrap().codebook;
    let smooth =
        learn(&data, &LearnSettings { smooth_neighbors: 5, ..settings(SelectionMethod::Random, 20) })
            .unwrap()
            .codebook;
    for m in 0..20 {
        assert_eq!(sharp.source(m), smooth.source(m));
        let mut order: Vec<usize> = (0..data.n_steps()).collect();
        order.sort_by(|&a, &b| {
            let d = |i: usize| plain_distance(&data, &data.state(i), sharp.state(m));
            d(a).total_cmp(&d(b)).then(a.cmp(&b))
        });
        // If the fifth and the sixth are equally near, rounding decides between them: such memories are not compared.
        let d = |i: usize| plain_distance(&data, &data.state(i), sharp.state(m));
        if d(order[5]) - d(order[4]) < 1e-5 {
            continue;
        }
        for k in 0..2 {
            let mean = order[..5].iter().map(|&i| f64::from(data.action(i)[k])).sum::<f64>() / 5.0;
            assert!((f64::from(smooth.action(m)[k]) - mean).abs() < 1e-6);
        }
    }
}

#[test]
fn equal_seeds_give_equal_codebooks_and_other_seeds_others() {
    let data = random_walks(5, 100, 8);
    for by in ALL {
        let with =
            |seed| learn(&data, &LearnSettings { seed: Seed(seed), ..settings(by, 50) }).unwrap().codebook;
        assert_eq!(with(1).parts(), with(1).parts());
        if by != SelectionMethod::All {
            assert_ne!(with(1).parts().sources, with(2).parts().sources, "{by}");
        }
    }
}

#[test]
fn amounts_out_of_range_are_refused_with_the_range() {
    let data = random_walks(2, 20, 9);
    let refused = |s: LearnSettings| learn(&data, &s).unwrap_err().to_string();
    assert!(refused(settings(SelectionMethod::Random, 41)).contains("more memories than states"));
    assert!(refused(settings(SelectionMethod::Random, 0)).contains("number of memories is 0"));
    assert!(refused(LearnSettings { epochs: 0, ..settings(SelectionMethod::Gas, 5) }).contains("--epochs"));
    assert!(
        refused(LearnSettings { smooth_neighbors: 41, ..settings(SelectionMethod::Gas, 5) })
            .contains("--smooth-neighbors")
    );
    for share in [0.0, -0.5, 1.5, f64::NAN] {
        let s = LearnSettings { amount: Amount::Fraction(share), ..settings(SelectionMethod::Gas, 5) };
        assert!(refused(s).contains("--fraction"));
    }
}
