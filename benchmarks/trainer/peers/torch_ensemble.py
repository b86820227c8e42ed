"""`torch.func`: stacked parameters, `vmap` of `grad` over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from benchmarks.trainer.peers.torch_eager import cost_of, make_network, tensors
from benchmarks.trainer.shapes import Data, Shape
from torch import nn
from torch.func import functional_call, grad, vmap

NAME = "torch.func ensemble"
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Parameters = dict[str, Any]


def pack_sizes(shape: Shape) -> tuple[int, ...]:
    return (1_000, 10_000) if shape.is_tiny else (8, 32, 64)


def prepare(shape: Shape, data: Data, pack: int, epochs: int) -> Callable[[], object]:
    """A call that trains ``epochs`` epochs of ``pack`` networks."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    networks = [make_network(shape) for _ in range(pack)]
    stacked, _ = torch.func.stack_module_state(networks)
    ensemble = Ensemble(shape, networks[0], {k: p.detach() for k, p in stacked.items()})
    x, y, x_evaluated, y_evaluated = tensors(data)
    labels = y_evaluated.argmax(dim=1)

    def train_epoch() -> object:
        for rows in torch.randperm(shape.rows).split(shape.batch):
            ensemble.descend(x[rows], y[rows])
        return ensemble.evaluate(x_evaluated, y_evaluated, labels)

    return lambda: [train_epoch() for _ in range(epochs)]


class Ensemble:
    """Networks of one shape; ``parameters`` have a leading axis of networks."""

    def __init__(self, shape: Shape, network: nn.Sequential, parameters: Parameters) -> None:
        self._shape = shape
        self._parameters = parameters
        self._means = {k: torch.zeros_like(p) for k, p in parameters.items()}
        self._squares = {k: torch.zeros_like(p) for k, p in parameters.items()}
        self._step = 0

        def cost(one: Parameters, x: Any, y: Any) -> Any:
            return cost_of(shape, functional_call(network, one, (x,)), y)

        def measure(one: Parameters, x: Any, y: Any, labels: Any) -> tuple[Any, Any]:
            z = functional_call(network, one, (x,))
            if shape.evaluated:
                seen = (z.argmax(dim=1) == labels).float().mean()
            else:
                seen = torch.sigmoid(z).mean()
            return cost_of(shape, z, y), seen

        self._gradients = vmap(grad(cost), in_dims=(0, None, None))
        self._measure = vmap(measure, in_dims=(0, None, None, None))

    def descend(self, x: Any, y: Any) -> None:
        """A step of each network on these rows."""
        shape = self._shape
        gradients = self._gradients(self._parameters, x, y)
        self._step += 1
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                gradient = gradients[name]
                if shape.l2 and parameter.ndim == 3:
                    parameter.mul_(1 - shape.learning_rate * shape.l2 / shape.rows)
                if shape.rule == "sgd":
                    parameter.sub_(gradient, alpha=shape.learning_rate)
                else:
                    self._follow_adam(name, parameter, gradient)

    def _follow_adam(self, name: str, parameter: Any, gradient: Any) -> None:
        mean, square = self._means[name], self._squares[name]
        mean.lerp_(gradient, 1 - BETA1)
        square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        root = (square / (1 - BETA2**self._step)).sqrt_().add_(EPSILON)
        rate = self._shape.learning_rate / (1 - BETA1**self._step)
        parameter.addcdiv_(mean, root, value=-rate)

    def evaluate(self, x: Any, y: Any, labels: Any) -> object:
        """The cost and the accuracy, or the mean output, of each network."""
        with torch.no_grad():
            return self._measure(self._parameters, x, y, labels)
