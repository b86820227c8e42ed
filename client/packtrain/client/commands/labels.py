"""Labels and priorities as options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

LabelOption = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="A label of the job; may be repeated."),
]
PriorityOption = Annotated[
    int, typer.Option(help="From -100 to 100: a job of a higher one gets the workers first.")
]


def parse_labels(texts: Sequence[str] | None) -> dict[str, str]:
    """The labels that were written, each KEY=VALUE."""
    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"expected KEY=VALUE, not {text!r}", param_hint="--label")
        found[key] = value
    return found
