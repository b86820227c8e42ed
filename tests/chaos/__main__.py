"""The command line of the chaos: `make chaos`, or python -m tests.chaos."""

# ruff: noqa: E402  (threads are set before NumPy is imported)
from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import importlib
import json
import secrets
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.harness import Chaos, NotRun, References
from tests.chaos.table import Outcome, as_text

SCENARIOS = (
    "service_kill",
    "worker_kill",
    "engine_kill",
    "node_loss",
    "head_loss",
    "disk_full",
    "watch_cuts",
    "equal_submissions",
    "slow_reader",
    "daily_load",
    "graceful_stop",
    "database_gone",
    "replica_kill",
    "clock_steps",
    "bad_checkpoint",
    "start",
)
# Those that take some ten seconds each, on an idle machine.
_SHORT = ("service_kill", "watch_cuts", "equal_submissions")


def main() -> int:
    """Run the scenarios, tell of each as it comes, print the table; 1 where one did not hold, or
    was not run."""
    options = _parse()
    # What was started is stopped, however this ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcomes: list[Outcome] = []
    print(f"SEED={options.seed}", flush=True)
    with tempfile.TemporaryDirectory(
        prefix="packtrain-chaos-", dir=options.scratch, ignore_cleanup_errors=True
    ) as folder:
        references = References(Path(folder))
        for name in options.only or (_SHORT if options.short else SCENARIOS):
            outcomes.append(_run(name, options, Path(folder), references))
            if options.json:
                told = [asdict(o) | {"held": o.held} for o in outcomes]
                options.json.write_text(json.dumps(told, indent=2) + "\n")
    print(as_text(outcomes))
    return 0 if all(outcome.held for outcome in outcomes) else 1


def _run(name: str, options: argparse.Namespace, folder: Path, references: References) -> Outcome:
    scenario: Any = importlib.import_module(f"tests.chaos.scenarios.{name}")
    extra = {"points": options.points} if options.points and name == "service_kill" else {}
    began = time.monotonic()
    figures: dict[str, Any] = {}
    not_run = ""
    chaos = Chaos(name, options.seed, folder, references, is_short=options.short)
    with chaos:
        try:
            figures = scenario.run(chaos, **extra)
        except NotRun as error:
            not_run = str(error)
        except Exception as error:
            chaos.check(False, f"the scenario broke off: {type(error).__name__}: {error}")
            if options.debug:
                raise
    seconds = round(time.monotonic() - began, 1)
    fault = scenario.FAULT.format(points=figures.pop("points", "?"))
    return Outcome(
        name,
        fault,
        scenario.MUST_HOLD,
        options.seed,
        seconds,
        chaos.violations,
        figures,
        not_run,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="may be repeated")
    parser.add_argument("--short", action="store_true", help="a form of about a minute")
    parser.add_argument("--points", type=int, help="how often service_kill kills")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--scratch", type=Path, help="where data directories go")
    parser.add_argument("--debug", action="store_true", help="raise what breaks a scenario off")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
