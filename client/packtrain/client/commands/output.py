"""What commands print: tables for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from packtrain.client.events import (
    Event,
    Heartbeat,
    JobChanged,
    MetricsReceived,
    TrialsAdapted,
    TrialsChanged,
)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_EVENTS: dict[type[Any], str] = {
    JobChanged: "job",
    TrialsChanged: "trials",
    MetricsReceived: "metrics",
    TrialsAdapted: "adaptation",
    Heartbeat: "heartbeat",
}


def plain(value: Any) -> Any:
    """A value as JSON has it: NaN becomes null, infinity the text that proto JSON writes."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value.isoformat() if isinstance(value, datetime) else value


def event_form(event: Event) -> dict[str, Any]:
    """An event as JSON has it; "event" says of which kind it is."""
    return {"event": _EVENTS[type(event)], **plain(event)}


def print_json(value: Any) -> None:
    """One JSON value on one line, told at once."""
    typer.echo(json.dumps(plain(value)))
    sys.stdout.flush()


def print_deleted(name: str, as_json: bool) -> None:
    """Confirm that a resource is gone."""
    if as_json:
        print_json({"deleted": name})
    else:
        typer.echo(f"deleted {name}")


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; in a pipe, columns of fixed width with nothing cut off."""
    cells = [[shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        table = Table(*headers, box=None, pad_edge=False, header_style="bold")
        for row in cells:
            table.add_row(*row)
        Console().print(table)
        return
    columns = list(zip(headers, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for row in [list(headers), *cells]:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def print_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one a line; what is empty is left out."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if value not in (None, "", [], ()):
            typer.echo(f"{name.ljust(width)}  {shown(value)}")


def shown(value: Any) -> str:
    """A value for people: six digits, local times, lists with commas."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, Mapping):
        # An alternative by its name alone, as filters take it: {"adam": {}} is adam.
        return next(iter(value)) if list(value.values()) == [{}] else json.dumps(plain(value))
    return str(value)


def shown_bytes(count: float) -> str:
    """A size with its unit: 1.5 MiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the last unit takes any size")


def shown_seconds(seconds: float) -> str:
    """Two digits, or all before the point: 0.053, 2.5, 1,250."""
    return f"{seconds:.2g}" if seconds < 99.5 else f"{seconds:,.0f}"


def write_output(path: Path | None, text: str) -> None:
    """Write to the file, or to stdout where there is none."""
    if path is None:
        typer.echo(text, nl=False)
    else:
        path.write_text(text, "utf-8")
