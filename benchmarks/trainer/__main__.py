"""The command line of the trainer's benchmark."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.processor import describe_processor
from benchmarks.trainer.contestants import MODULES
from benchmarks.trainer.machine import hold_to_one_core
from benchmarks.trainer.measure import measure
from benchmarks.trainer.shapes import SHAPES
from benchmarks.trainer.table import as_json, as_text, limits_as_text


def main() -> None:
    """Measure, print the tables, write the figures."""
    options = _parse()
    hold_to_one_core()
    names = options.only or list(SHAPES)
    rounds = options.rounds or (2 if options.quick else 5)
    processor = describe_processor()
    print(
        f"One core of {processor}, float32, random data; the best of {rounds} rounds in which all "
        "take turns."
    )
    for name, measured in measure(
        names,
        rounds=rounds,
        quick=options.quick,
        pack_sizes=options.pack_sizes,
        modules=[m for m in MODULES if not options.against or m in ("packed", *options.against)],
        report=lambda line: print(line, file=sys.stderr, flush=True),
    ):
        print(f"\n{as_text(name, measured)}", flush=True)
        if options.json:
            about = {"processor": processor, "date": f"{datetime.now(UTC):%Y-%m-%d}"}
            options.json.write_text(json.dumps(about | as_json(measured), indent=2) + "\n")
    print(f"\n{limits_as_text(measured)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.trainer", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(SHAPES), help="measure this shape (repeatable)"
    )
    parser.add_argument(
        "--against",
        action="append",
        choices=[m for m in MODULES if m != "packed"],
        help="measure packtrain beside this contestant alone (repeatable)",
    )
    parser.add_argument("--quick", action="store_true", help="few pack sizes, two rounds")
    parser.add_argument("--rounds", type=int, help="turns of everyone at each shape")
    parser.add_argument(
        "--pack-sizes",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[],
        help="packtrain's, as 1,64,10000, in place of each shape's own",
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
