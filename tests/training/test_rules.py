"""Every rule against the formula of its paper, written once more, plainly, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from packtrain.training import (
    Activation,
    Cost,
    Pack,
    Rule,
    Schedule,
    Signature,
    StepDecay,
    TargetKind,
    TrainingData,
    UnitGaussian,
    initial_state,
    make_trials,
    train,
)

RATE, MU, BETA1, BETA2, EPSILON = 0.05, 0.8, 0.7, 0.9, 1e-3
ROWS, EPOCHS = 6, 4


class Plain:
    """One array under one rule, as its paper writes it."""

    def __init__(self, rule, w, rate, l2, momentum):
        self.rule, self.w, self.rate, self.l2, self.momentum = rule, w.copy(), rate, l2, momentum
        self.v, self.m, self.s = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
        self.t, self.product = 0, 1.0

    def step(self, g, rate):
        self.t += 1
        t, decoupled = self.t, self.rule in (Rule.ADAMW, Rule.LION)
        if decoupled:
            self.w = self.w - rate * self.l2 * self.w
        else:
            g = g + self.l2 * self.w
        match self.rule:
            case Rule.SGD:
                self.v = self.momentum * self.v - rate * g
                self.w = self.w + self.v
            case Rule.NESTEROV:
                self.v = self.momentum * self.v - rate * g
                self.w = self.w + self.momentum * self.v - rate * g
            case Rule.ADAGRAD:
                self.s = self.s + g**2
                self.w = self.w - rate * g / (np.sqrt(self.s) + EPSILON)
            case Rule.RMSPROP:
                self.s = BETA2 * self.s + (1 - BETA2) * g**2
                self.w = self.w - rate * g / (np.sqrt(self.s) + EPSILON)
            case Rule.LION:
                self.w = self.w - rate * np.sign(BETA1 * self.m + (1 - BETA1) * g)
                self.m = BETA2 * self.m + (1 - BETA2) * g
            case _:
                self.m = BETA1 * self.m + (1 - BETA1) * g
                self.s = BETA2 * self.s + (1 - BETA2) * g**2
                root = np.sqrt(self.s / (1 - BETA2**t)) + EPSILON
                if self.rule is Rule.NADAM:
                    mu, ahead = (BETA1 * (1 - 0.5 * 0.96 ** (0.004 * i)) for i in (t, t + 1))
                    self.product *= mu
                    along = (1 - mu) * g / (1 - self.product)
                    along = along + ahead * self.m / (1 - self.product * ahead)
                else:
                    along = self.m / (1 - BETA1**t)
                self.w = self.w - rate * along / root


# The kernel for tiny layers, and the one with matrix products.
SHAPES = [(3, 4, 2), (60, 20, 2)]


def problem(sizes):
    signature = Signature(
        sizes=sizes,
        hidden_activation=Activation.TANH,
        output_activation=Activation.IDENTITY,
        batch_size=ROWS,
        epochs=EPOCHS,
        data_type="float64",
        metrics=("training_cost",),
    )
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(ROWS, sizes[0])), rng.normal(size=(ROWS, sizes[-1]))
    return signature, TrainingData(x, y, None, None, TargetKind.NUMBERS)


def gradients(weights, biases, x, y):
    hidden = np.tanh(x @ weights[0] + biases[0])
    delta = (hidden @ weights[1] + biases[1] - y) / len(x)
    below = delta @ weights[1].T * (1 - hidden**2)
    return [x.T @ below, hidden.T @ delta], [below.sum(axis=0), delta.sum(axis=0)]


def run_plainly(signature, data, start, rule, *, l2=0.0, momentum=MU, clip=np.inf, bound=np.inf):
    def made(arrays, decay):
        return [Plain(rule, a[0], RATE, decay / ROWS, momentum) for a in arrays]

    weights, biases = made(start.weights, l2), made(start.biases, 0.0)
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 ** (epoch // 2)
        gs = gradients([p.w for p in weights], [p.w for p in biases], data.x, data.y)
        norm = np.sqrt(sum(np.sum(g**2) for kind in gs for g in kind))
        for kind, found in zip((weights, biases), gs, strict=True):
            for plain, g in zip(kind, found, strict=True):
                plain.step(g * min(1, clip / norm), rate)
        for plain in weights:
            plain.w = plain.w * np.minimum(1, bound / np.linalg.norm(plain.w, axis=0))
    return [p.w for p in weights], [p.w for p in biases]


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
@pytest.mark.parametrize(
    "extra",
    [{}, {"l2": 0.7}, {"clip": 0.05, "l2": 0.3}, {"bound": 0.6}, {"momentum": 0.0, "clip": 0.05}],
    ids=str,
)
@pytest.mark.parametrize("rule", Rule)
def test_rules_follow_their_papers(rule, extra, sizes):
    signature, data = problem(sizes)
    trials = make_trials(
        2,  # of which the second differs, so that a mixed-up column shows
        rule=rule,
        learning_rate=[RATE, 3 * RATE],
        schedule=Schedule(StepDecay(every=2, factor=0.5)),
        momentum=[extra.get("momentum", MU), 0.3 * (extra.get("momentum", MU) > 0)],
        beta1=[BETA1, 0.2],
        beta2=[BETA2, 0.5],
        epsilon=[EPSILON, 0.1],
        l2=[extra.get("l2", 0.0), 0.1],
        clip_norm=[extra.get("clip", 0.0), 2 * extra.get("clip", 0.0)],
        max_norm=[extra.get("bound", 0.0), 2 * extra.get("bound", 0.0)],
        cost=Cost.QUADRATIC,
        initialization=UnitGaussian(),
    )
    pack = Pack(signature, trials)
    start = initial_state(pack, data)
    state, _ = train(pack, data)
    weights, biases = run_plainly(signature, data, start, rule, **extra)
    for layer in range(2):
        np.testing.assert_allclose(state.weights[layer][0], weights[layer], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(state.biases[layer][0], biases[layer], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("sizes", SHAPES, ids=str)
@pytest.mark.parametrize("rule", [*Rule])
def test_rules_agree_with_pytorch(rule, sizes):
    torch = pytest.importorskip("torch")
    if rule is Rule.LION:
        pytest.skip("PyTorch has no Lion")
    signature, data = problem(sizes)
    numbers = {"learning_rate": RATE, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON}
    pack = Pack(
        replace(signature, batch_size=ROWS),
        make_trials(1, rule=rule, l2=0.6, momentum=MU, cost=Cost.QUADRATIC, **numbers),
    )
    start = initial_state(pack, data)
    state, _ = train(pack, data)

    def tensor(array):
        return torch.tensor(array, dtype=torch.float64, requires_grad=True)

    weights = [tensor(w[0]) for w in start.weights]
    biases = [tensor(b[0]) for b in start.biases]
    adam = {"lr": RATE, "betas": (BETA1, BETA2), "eps": EPSILON}
    moving = {"lr": RATE, "momentum": MU}
    make = {
        Rule.SGD: lambda g: torch.optim.SGD(g, **moving),
        Rule.NESTEROV: lambda g: torch.optim.SGD(g, nesterov=True, **moving),
        Rule.ADAGRAD: lambda g: torch.optim.Adagrad(g, lr=RATE, eps=EPSILON),
        Rule.RMSPROP: lambda g: torch.optim.RMSprop(g, lr=RATE, alpha=BETA2, eps=EPSILON),
        Rule.ADAM: lambda g: torch.optim.Adam(g, **adam),
        Rule.ADAMW: lambda g: torch.optim.AdamW(g, **adam),
        Rule.NADAM: lambda g: torch.optim.NAdam(g, **adam),
    }[rule]
    optimizer = make(
        [{"params": weights, "weight_decay": 0.6 / ROWS}, {"params": biases, "weight_decay": 0.0}]
    )
    x, y = torch.tensor(data.x), torch.tensor(data.y)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        output = torch.tanh(x @ weights[0] + biases[0]) @ weights[1] + biases[1]
        (((output - y) ** 2).sum() / (2 * ROWS)).backward()
        optimizer.step()
    # PyTorch keeps the product of NAdam's momenta in float32.
    is_nadam = rule is Rule.NADAM
    close = {"rtol": 1e-6 if is_nadam else 1e-9, "atol": 1e-8 if is_nadam else 1e-11}
    for layer in range(2):
        expected = weights[layer].detach().numpy()
        np.testing.assert_allclose(state.weights[layer][0], expected, **close)
        expected = biases[layer].detach().numpy()
        np.testing.assert_allclose(state.biases[layer][0], expected, **close)
