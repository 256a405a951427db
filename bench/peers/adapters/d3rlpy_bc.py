"""Behavior cloning of d3rlpy, with its defaults and the steps of its reproductions (reproductions/offline: 500,000)."""

import adapter


def fit(algorithm, dataset, clock, recommended):
    """Trains an algorithm of d3rlpy until the clock is over or for the recommended steps. Returns the number of steps."""
    import d3rlpy

    per_epoch = 20  # between two looks at the clock
    fitter = algorithm.fitter(
        dataset,
        n_steps=recommended if clock.seconds is None else 10**9,
        n_steps_per_epoch=per_epoch,
        logger_adapter=d3rlpy.logging.NoopAdapterFactory(),
        show_progress=False,
    )
    steps = 0
    for _ in fitter:
        steps += per_epoch
        if clock.is_over():
            break
    return steps


def train(demonstrations, job, clock):
    import d3rlpy

    d3rlpy.seed(job["seed"])
    dataset = d3rlpy.dataset.MDPDataset(
        demonstrations.states, demonstrations.actions, demonstrations.rewards, terminals=demonstrations.last_steps()
    )
    algorithm = d3rlpy.algos.BCConfig().create(device=False)
    steps = fit(algorithm, dataset, clock, 500_000)
    return lambda observation: algorithm.predict(observation[None])[0], lambda: None, {"method": "BC", "steps": steps, "batch": 100}


if __name__ == "__main__":
    adapter.serve(train, ["d3rlpy", "torch"], ["torch._dynamo", "d3rlpy"])
