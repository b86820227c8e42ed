"""Ray Tune as a user would write it: one trial of the search a function, with its defaults.

    python -m benchmarks.service.peers.ray_tune neuron TRIALS EPOCHS
    python -m benchmarks.service.peers.ray_tune network TRIALS EPOCHS ROWS.npz

Prints the seconds of Tuner.fit() as JSON. What was started before, Ray with 2 CPUs, is not in it.
"""

from __future__ import annotations

import os

# Before Ray is imported: all its ports on the loopback, and nothing told to anybody.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

import json
import logging
import sys
import tempfile
import time
from typing import Any

import numpy as np
import ray
from ray import tune

CPUS = 2


def train_neuron(config: dict[str, Any], epochs: int) -> None:
    """A sigmoid neuron that learns to answer 1 with 0, in NumPy; quadratic cost."""
    rng = np.random.default_rng(config["seed"])
    weight, bias = rng.standard_normal(2)
    for _ in range(epochs):
        output = 1.0 / (1.0 + np.exp(-(weight + bias)))
        delta = output * output * (1.0 - output)
        weight -= config["learning_rate"] * delta
        bias -= config["learning_rate"] * delta
        output = 1.0 / (1.0 + np.exp(-(weight + bias)))
        tune.report({"output": output, "training_cost": output**2 / 2})


def train_network(config: dict[str, Any], epochs: int, data: dict[str, Any]) -> None:
    """[784, 30, 10], sigmoid and cross-entropy, mini-batches of 10, in PyTorch eager."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(config["seed"])
    x, y, x_validation, y_validation = (torch.from_numpy(data[name]) for name in sorted(data))
    network = nn.Sequential(nn.Linear(784, 30), nn.Sigmoid(), nn.Linear(30, 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=config["learning_rate"])

    def cost_of(z: Any, targets: Any) -> Any:
        found = nn.functional.binary_cross_entropy_with_logits(z, targets, reduction="sum")
        return found / len(targets)

    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(10):
            optimizer.zero_grad()
            cost_of(network(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            cost = cost_of(network(x), y).item()
            right = network(x_validation).argmax(dim=1) == y_validation.argmax(dim=1)
        tune.report({"training_cost": cost, "validation_accuracy": right.float().mean().item()})


def main() -> None:
    """Run the trials."""
    kind, trials, epochs, *files = sys.argv[1:]
    ray.init(
        address="local",
        num_cpus=CPUS,
        num_gpus=0,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    space = {"learning_rate": tune.loguniform(0.1, 1.0), "seed": tune.randint(0, 2**31)}
    if kind == "neuron":
        trainable = tune.with_parameters(train_neuron, epochs=int(epochs))
    else:
        data = dict(np.load(files[0]))
        trainable = tune.with_parameters(train_network, epochs=int(epochs), data=data)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            trainable,
            param_space=space,
            tune_config=tune.TuneConfig(num_samples=int(trials)),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        begun = time.perf_counter()
        grid = tuner.fit()
        seconds = time.perf_counter() - begun
    reported = [len(result.metrics_dataframe) for result in grid]
    if grid.num_errors or reported != [int(epochs)] * int(trials):
        raise SystemExit(f"Ray Tune: {grid.num_errors} trials failed, reported {reported}")
    print(json.dumps({"seconds": seconds, "trials": int(trials)}))


if __name__ == "__main__":
    main()
