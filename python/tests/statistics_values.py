"""Computes the reference values of crates/mcnn/tests/eval_stats.rs, into the file named (statistics_values.json
beside that test).

`--table FOLDER` makes a file of results and what a table must find in it, for crates/mcnn-cli/tests.

scipy computes what scipy has. rliable's values are computed from its formulas, restated here in numpy (rliable itself
brings pandas, seaborn and matplotlib); where rliable can be imported, `--rliable` compares the restatement with it.
"""

import itertools
import json
import sys

import numpy
from scipy import optimize, stats


def floats(values):
    return numpy.asarray(values, dtype=float).tolist()


# rliable's metrics of scores [tasks][runs] (rliable/metrics.py); runs may be uneven here, there they are a matrix.
def aggregate_iqm(tasks):
    return stats.trim_mean(numpy.concatenate(tasks), 0.25)


def aggregate_median(tasks):
    return numpy.median([runs.mean() for runs in tasks])


def optimality_gap(tasks, gamma):
    return gamma - numpy.minimum(numpy.concatenate(tasks), gamma).mean()


def probability_of_improvement(a, b):
    # U of a over b counts the pairs in which a is above, ties half.
    return numpy.mean([stats.mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(a, b)])


def improvement(a, b):
    """With Newcombe's interval (method 5), its equation solved by scipy."""
    found = probability_of_improvement(a, b)

    def beyond(p):
        variance = 0.0
        for m, n in ((len(x), len(y)) for x, y in zip(a, b)):
            q1, q2 = p / (2 - p), 2 * p * p / (1 + p)  # Hanley and McNeil (1982)
            each = (m + n) / 2 - 1  # theirs for the mean of the two sizes
            variance += (p * (1 - p) + each * (q1 - p * p) + each * (q2 - p * p)) / (m * n) / len(a) ** 2
        return (p - found) ** 2 - stats.norm.ppf(0.975) ** 2 * variance

    return floats([found, optimize.brentq(beyond, 1e-9, found), optimize.brentq(beyond, found, 1 - 1e-9)])


def profile(tasks, taus):
    scores = numpy.concatenate(tasks)
    return [(scores > tau).mean() for tau in taus]


def holm(p):
    """By the closure principle: the least favorable of all families a comparison is in, each by Bonferroni."""
    n = len(p)
    corrected = []
    for i in range(n):
        families = (f for k in range(1, n + 1) for f in itertools.combinations(range(n), k) if i in f)
        corrected.append(max(min(1.0, len(f) * min(p[j] for j in f)) for f in families))
    return corrected


def bootknife(tasks, statistic, resamples, seed):
    """Student's interval with the bootstrap's standard error, every draw missing one run a task."""
    rng = numpy.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = []
        for runs in tasks:
            left = numpy.delete(runs, rng.integers(len(runs)))
            drawn.append(rng.choice(left, len(runs)))
        found.append(statistic(drawn))
    freedom = sum(len(runs) - 1 for runs in tasks)
    reach = stats.t.ppf(0.975, freedom) * numpy.std(found)
    middle = statistic(tasks)
    return floats([middle, middle - reach, middle + reach])


def crossed(returns):
    """Variance parts of the mean of runs x episodes by least squares on indicator columns, not by sums of squares."""
    y = numpy.asarray(returns)
    s, e = y.shape
    runs, episodes = numpy.repeat(numpy.eye(s), e, axis=0), numpy.tile(numpy.eye(e), (s, 1))

    def left(*columns):
        x = numpy.hstack([numpy.ones((s * e, 1)), *columns])
        return ((y.ravel() - x @ numpy.linalg.lstsq(x, y.ravel(), rcond=None)[0]) ** 2).sum()

    rest = left(runs, episodes)
    freedom = numpy.array([s - 1, e - 1, (s - 1) * (e - 1)])
    mean_squares = numpy.array([left(episodes) - rest, left(runs) - rest, rest]) / freedom / (s * e)
    alone = numpy.maximum(mean_squares[:2] - mean_squares[2], 0)
    variance = alone.sum() + mean_squares[2]
    parts = numpy.append(alone, mean_squares[2])
    reach = (parts / variance) @ stats.t.ppf(0.975, freedom) * variance**0.5
    return {
        "returns": floats(y),
        "mean": floats([y.mean(), y.mean() - reach, y.mean() + reach]),
        "shares": floats(alone / variance),
    }


def values(quick):
    v = numpy.array([((37 * i * i + 11 * i) % 101) / 10 for i in range(23)])
    w = v[::-1] * 0.9
    rng = numpy.random.default_rng(5)
    a = [rng.normal(0.4, 0.3, 5).round(2), rng.normal(0.8, 0.3, 6).round(2), rng.normal(0.6, 0.2, 4).round(1)]
    b = [rng.normal(0.3, 0.3, 4).round(2), rng.normal(0.6, 0.3, 5).round(2), rng.normal(0.5, 0.2, 6).round(1)]
    a[2][:2] = b[2][:2]  # ties across the two
    taus = [0.0, 0.25, 0.5, 0.75, 1.0]
    flips = []
    for n in (3, 8, 12, 23, 80):
        x, y = rng.normal(0.3, 1, n).round(1), rng.normal(0, 1, n).round(1)
        exact = sum(x != y) <= 14
        test = stats.permutation_test(
            (x, y), lambda x, y, axis: (x - y).sum(axis=axis), permutation_type="samples", vectorized=True,
            n_resamples=numpy.inf if exact else 400_000 if not quick else 9, batch=4096, rng=1)
        flips.append({"a": floats(x), "b": floats(y), "p": float(test.pvalue), "exact": bool(exact)})
    families = [[0.01, 0.04, 0.03, 0.005], [0.5], [0.2, 0.2, 0.9], [0.001, 0.02, 0.021, 0.3, 0.04]]
    ci = stats.ttest_1samp(v, 0).confidence_interval(0.95)
    paired = stats.ttest_rel(v, w).confidence_interval(0.95)
    run_effects = rng.normal(0, 1, 4)[:, None] + rng.normal(0, 2, 12) + rng.normal(0, 0.5, (4, 12))
    exact = {
        "values": floats(v),
        "mean": float(v.mean()),
        "iqm": [float(stats.trim_mean(v[:n], 0.25)) for n in range(1, 24)],
        "median": [float(numpy.median(v[:n])) for n in range(1, 24)],
        "quantiles": [[q, float(numpy.quantile(v, q))] for q in (0.0, 0.1, 0.5, 0.99, 1.0)],
        "student": [[f, float(stats.t.ppf(0.975, f))] for f in (1, 1.3, 2, 2.7, 3, 5.5, 9, 19, 39.9, 40.1, 99, 1e6)],
        "interval": floats([v.mean(), *ci]),
        "paired": {"b": floats(w), "difference": floats([(v - w).mean(), *paired])},
        "wilson": [[k, n, *floats(stats.binomtest(k, n).proportion_ci(method="wilson"))]
                   for k, n in ((0, 10), (7, 10), (20, 20), (33, 50), (1, 1))],
        "holm": [{"p": p, "corrected": floats(holm(p))} for p in families],
        "a": [floats(x) for x in a],
        "b": [floats(x) for x in b],
        "improvement": improvement(a, b),
        "crossed": [crossed(run_effects), crossed(rng.normal(0, 1, (3, 20)) + rng.normal(0, 3, 20)),
                    crossed(rng.normal(0, 1, (5, 4)))],
    }
    if quick:
        return exact
    return exact | {
        "flips": flips,
        "of_a": {
            "iqm": bootknife(a, aggregate_iqm, 60_000, 1),
            "median": bootknife(a, aggregate_median, 60_000, 2),
            "gap": bootknife(a, lambda t: optimality_gap(t, 1.0), 60_000, 3),
            "profile": [[t, float(s)] for t, s in zip(taus, profile(a, taus))],
            "half": bootknife(a, lambda t: profile(t, [0.5])[0], 60_000, 4),
        },
    }


def table(folder):
    """A small file of results with made-up returns, and what `mcnn table` must find in it."""
    rng = numpy.random.default_rng(7)
    first = {"task": "door", "data": "human.hdf5", "by": "gas", "fraction": 0.1, "count": None, "smooth": 1,
             "lambda": "auto", "l": 1.0, "activation": "clamp", "backbone": "mlp", "seed": 0, "reward": "d4rl",
             "clip_actions": False, "epochs": 10, "distances": "loo", "neighbors": 1, "hidden": [8], "steps": 10,
             "batch": 4, "lr": 0.0003, "check_on": 0.1, "episodes": 6, "first_seed": 1000}
    references = {"door": [-56.5, 2880.5], "pen": [96.25, 3076.75]}
    lines, expected = [], {}
    # Five seeds of cloning; five of MCNN but for one that failed and one not made, in another order.
    for task in ("door", "pen"):
        episodes = rng.normal(0, 300, 6)
        for name, better, seeds in (("auto", 400, (4, 0, 2, 1, 3)), ("inf", 0, (0, 1, 2, 3, 4))):
            returns = {}
            for seed in seeds:
                run = (900 + better + rng.normal(0, 200) + episodes + rng.normal(0, 150, 6)).round(3)
                weight = round(rng.uniform(0.2, 0.4), 4)
                line = {"settings": first | {"task": task, "lambda": name, "seed": seed}, "data": "f" * 64, "memories": None,
                        "policy": None, "name": name, "loss": 0.01, "held_out_loss": None, "lambda": 2.5, "half_distance": 0.3,
                        "returns": floats(run), "reference": references[task], "eval": {"weight": weight}, "seconds": 1.5,
                        "version": "0.1.0", "error": None}
                if (task, name, seed) == ("pen", "auto", 3):
                    line |= {"error": "training diverged", "returns": [], "eval": None}
                elif (task, name, seed) == ("pen", "auto", 4):
                    continue
                else:
                    returns[seed] = run, weight
                lines.append(line)
            random, expert = references[task]
            scores = [100 * (returns[seed][0] - random) / (expert - random) for seed in sorted(returns)]
            expected[f"{name} {task}"] = crossed(scores) | {
                "seeds": sorted(returns), "weight": float(numpy.mean([w for _, w in returns.values()])),
                "runs": floats([s.mean() for s in scores])}
    methods = {name: [numpy.array(expected[f"{name} {task}"]["runs"]) for task in ("door", "pen")] for name in ("auto", "inf")}
    for name, tasks in methods.items():
        expected[name] = {
            "iqm": bootknife(tasks, aggregate_iqm, 60_000, 1), "median": bootknife(tasks, aggregate_median, 60_000, 2),
            "gap": bootknife(tasks, lambda t: optimality_gap(t, 100.0), 60_000, 3),
            "profile": floats(profile(tasks, numpy.arange(0, 101, 5)))}
    expected["improvement"] = improvement(methods["inf"], methods["auto"])
    rng.shuffle(lines)
    with open(f"{folder}/table.jsonl", "w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    with open(f"{folder}/table.json", "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")


def against_rliable():
    from rliable import metrics

    rng = numpy.random.default_rng(3)
    x, y = rng.normal(0.5, 0.3, (7, 4)).round(1), rng.normal(0.4, 0.3, (6, 4)).round(1)
    tasks, other = list(x.T), list(y.T)
    pairs = [
        (metrics.aggregate_iqm(x), aggregate_iqm(tasks)),
        (metrics.aggregate_median(x), aggregate_median(tasks)),
        (metrics.aggregate_optimality_gap(x), optimality_gap(tasks, 1.0)),
        (metrics.probability_of_improvement(x, y), probability_of_improvement(tasks, other)),
    ]
    for theirs, ours in pairs:
        assert abs(theirs - ours) < 1e-12, (theirs, ours)
    print(len(pairs), "of rliable's metrics agree with their restatement")


if sys.argv[1:] == ["--rliable"]:
    against_rliable()
elif sys.argv[1:2] == ["--table"]:
    table(sys.argv[2])
else:
    # --quick: only what takes no drawing, to stdout, for the test that the file is what this makes.
    quick = sys.argv[1:] == ["--quick"]
    found = values(quick)
    text = "{" + ",".join(f"\n{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()) + "\n}\n"
    if not quick:
        with open(sys.argv[1], "w") as file:
            file.write(text)
    else:
        print(text, end="")
