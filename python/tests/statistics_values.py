"""Prints what tests/eval_stats.rs expects, by scipy and numpy (and Wilson's formula as statsmodels has it)."""

import numpy
from scipy import stats

values = numpy.array([((37 * i * i + 11 * i) % 101) / 10 for i in range(23)])
print("values", values[:5], "...")
print("mean", repr(values.mean()))
print("iqm", repr(stats.trim_mean(values, 0.25)), "of the first 7:", repr(stats.trim_mean(values[:7], 0.25)))
print("quantiles", [repr(numpy.quantile(values, q)) for q in (0, 0.1, 0.5, 0.99, 1)])
for hits, n in [(0, 10), (7, 10), (20, 20), (33, 50)]:
    low, high = stats.binomtest(hits, n).proportion_ci(method="wilson")
    print("wilson", hits, n, repr(low), repr(high))
other = values[::-1] * 0.9
for name, data in [("mean", values), ("difference", values - other)]:
    ci = stats.bootstrap((data,), numpy.mean, n_resamples=200_000, method="percentile", rng=1).confidence_interval
    print("bootstrap", name, data.mean(), ci)
groups = [values[:8], values[8:] + 50]  # far apart: unstratified resampling would be much wider
rng = numpy.random.default_rng(1)
means = [numpy.concatenate([rng.choice(g, len(g)) for g in groups]).mean() for _ in range(100_000)]
iqms = [stats.trim_mean(rng.choice(values, len(values)), 0.25) for _ in range(100_000)]
print("stratified mean", numpy.quantile(means, [0.025, 0.975]), "iqm", numpy.quantile(iqms, [0.025, 0.975]))
