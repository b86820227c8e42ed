"""PyTorch eager: one `nn.Sequential` with an optimizer of `torch.optim`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from benchmarks.trainer.shapes import Data, Shape
from torch import nn

NAME = "PyTorch eager, one network"


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return (1,)


def make_network(shape: Shape) -> nn.Sequential:
    """The layers up to the weighted inputs of the outputs: the costs take those."""
    layers: list[nn.Module] = []
    for inputs, outputs in shape.pairs:
        layers += [
            nn.Linear(inputs, outputs),
            nn.Sigmoid() if shape.hidden == "sigmoid" else nn.ReLU(),
        ]
    return nn.Sequential(*layers[:-1])


def cost_of(shape: Shape, z: Any, y: Any) -> Any:
    """The cost, with the mean over the rows."""
    if shape.cost == "quadratic":
        return nn.functional.mse_loss(torch.sigmoid(z), y, reduction="sum") / (2 * len(y))
    if shape.cost == "log_likelihood":
        return nn.functional.cross_entropy(z, y)
    return nn.functional.binary_cross_entropy_with_logits(z, y, reduction="sum") / len(y)


def tensors(data: Data) -> list[Any]:
    """x, y, and x and y to evaluate."""
    arrays = (data.x, data.y, data.x_evaluated, data.y_evaluated)
    return [torch.from_numpy(array) for array in arrays]


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    network = make_network(shape)
    optimizer = _make_optimizer(shape, network)
    x, y, x_evaluated, y_evaluated = tensors(data)
    labels = y_evaluated.argmax(dim=1)

    def train_epoch() -> tuple[float, ...]:
        for rows in torch.randperm(shape.rows).split(shape.batch):
            optimizer.zero_grad()
            cost_of(shape, network(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            z = network(x_evaluated)
            cost = cost_of(shape, z, y_evaluated).item()
            if shape.evaluated:
                return cost, (z.argmax(dim=1) == labels).float().mean().item()
            return cost, torch.sigmoid(z).mean().item()

    return lambda: [train_epoch() for _ in range(epochs)]


def _make_optimizer(shape: Shape, network: nn.Sequential) -> torch.optim.Optimizer:
    weights = [p for p in network.parameters() if p.ndim == 2]
    biases = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": shape.l2 / shape.rows}, {"params": biases}]
    kind: Any = torch.optim.SGD if shape.rule == "sgd" else torch.optim.Adam
    optimizer: torch.optim.Optimizer = kind(groups, lr=shape.learning_rate)
    return optimizer
