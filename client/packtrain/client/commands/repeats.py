"""Groups of repeated trials, as `trials --group-repeats` prints them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import typer

from packtrain.client.commands.output import print_json, print_table
from packtrain.client.paths import short_path
from packtrain.client.repeats import Repeats
from packtrain.client.results import default_goal


def sort_repeats(groups: list[Repeats], sort: str | None) -> list[Repeats]:
    """Best mean first; NaN last."""
    if sort is None:
        return groups
    known = sorted({name for group in groups for name in group.mean})
    if groups and sort not in known:
        raise typer.BadParameter(
            f"expected a metric ({', '.join(known) or 'none is measured yet'}), not {sort!r}",
            param_hint="--sort",
        )
    sign = -1 if default_goal(sort) == "max" else 1

    def key(group: Repeats) -> tuple[bool, float]:
        mean = group.mean.get(sort, math.nan)
        return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return sorted(groups, key=key)


def print_repeats(groups: Sequence[Repeats], sort: str | None, as_json: bool) -> None:
    """A row for each group: the number of its trials, parameters, mean and deviation."""
    if as_json:
        for group in groups:
            print_json(group)
        return
    parameters = sorted({path for group in groups for path in group.parameters})
    names = {name for group in groups for name in group.mean}
    metrics = sorted(names, key=lambda name: (name != sort, name))
    headers = ["trials", *(short_path(path, parameters) for path in parameters), *metrics]
    rows = [
        [
            len(group.trials),
            *(group.parameters.get(path) for path in parameters),
            *(_spread(group, name) for name in metrics),
        ]
        for group in groups
    ]
    print_table(headers, rows)


def _spread(group: Repeats, metric: str) -> str | None:
    """The mean, the deviation, and of how many where some have no value: "0.95 ± 0.01 (3)"."""
    count = group.count.get(metric, 0)
    if count == 0:
        return None
    told = f"{group.mean[metric]:.4g}"
    if count > 1:
        told += f" ± {group.standard_deviation[metric]:.2g}"
    return told if count == len(group.trials) else f"{told} ({count})"
