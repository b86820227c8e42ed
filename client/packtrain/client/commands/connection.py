"""The server that a command speaks to."""

from __future__ import annotations

import typer

from packtrain.client.client import Client
from packtrain.client.settings import RetrySettings

# A person waits: better to say soon that nobody answers.
_RETRY = RetrySettings(budget_seconds=3.0)


def connect(ctx: typer.Context) -> Client:
    """A client of the server that --server or PACKTRAIN_SERVER names."""
    try:
        return Client(ctx.obj, retry=_RETRY)
    except ValueError as error:
        sentence = str(error).removeprefix("target: ")
        raise typer.BadParameter(sentence, param_hint="--server") from None


def parse_indices(text: str | None) -> tuple[int, ...]:
    """Trials such as "0,3,5-9". None is no option: the empty selection, which means all.

    Whatever is written selects something, or is refused: a slip must not mean all trials.
    """
    if text is None:
        return ()
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise typer.BadParameter(
                f"expected indices such as 0,3,5-9, not {text!r}", param_hint="--trials"
            )
        if dash and int(last) < int(first):
            raise typer.BadParameter(
                f"expected ranges from low to high, not {part.strip()!r}", param_hint="--trials"
            )
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)
