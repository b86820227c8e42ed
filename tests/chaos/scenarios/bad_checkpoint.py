"""The service is killed, and checkpoints are spoilt before it is started again."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.chaos.harness import Chaos
from tests.chaos.jobs import KINDS, RETRY, Reference, read_outcome
from tests.chaos.processes import wait_until
from tests.chaos.replicas import Watched, long_spec, wait_workers
from tests.chaos.server import ServerProcess

from packtrain.client import Client, JobSpec, PopulationBasedTraining

FAULT = "corrupt or truncated checkpoints, {points} times"
MUST_HOLD = "the one before is taken, or else epoch 0; the same results, each epoch once"
# A state is saved between two segments of about a second: the stages of a population last several.
_SPECS: dict[str, JobSpec] = {
    "grid": long_spec(2000),
    "population": replace(
        KINDS["population"], epochs=2000, population=PopulationBasedTraining(every_epochs=1000)
    ),
}
_END_SECONDS = 300.0


@dataclass(frozen=True)
class Saved:
    """A checkpoint that the store knows; ``is_closed``: its pack's trials went on in others."""

    pack: int
    epoch: int
    path: Path
    is_closed: bool


def _truncate(file: Path, rng: random.Random, _: bytes) -> None:
    with file.open("r+b") as opened:
        opened.truncate(rng.randrange(1, file.stat().st_size))


def _flip(file: Path, rng: random.Random, _: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def _empty(file: Path, _: random.Random, __: bytes) -> None:
    file.write_bytes(b"")


def _delete(file: Path, _: random.Random, __: bytes) -> None:
    file.unlink()


def _swap(file: Path, _: random.Random, other: bytes) -> None:
    """A good file, of another time or pack."""
    file.write_bytes(other)


_WAYS: tuple[Callable[[Path, random.Random, bytes], None], ...] = (
    _truncate,
    _flip,
    _empty,
    _delete,
    _swap,
)


def run(chaos: Chaos) -> dict[str, Any]:
    """Round after round: a job trains, the service is killed, its files are spoilt."""
    rounds = 3 if chaos.is_short else 15
    server = chaos.server("--checkpoint-every", "0.2")
    server.start()
    server.wait_serving()
    with Client(server.address, retry=RETRY) as client:
        expected = {
            kind: read_outcome(client.run(spec, f"undisturbed-{kind}"))
            for kind, spec in _SPECS.items()
        }
        spoilt = restored = 0
        for number in range(rounds):
            # Every third time nothing good is left.
            is_all = number % 3 == 2
            kind = list(_SPECS)[number % 2]
            found = _spoil_once(chaos, server, client, kind, expected[kind], number, is_all=is_all)
            spoilt += found[0]
            restored += found[1]
    return {
        "points": rounds,
        "files spoilt": spoilt,
        "restored from the one before": restored,
    }


def _spoil_once(
    chaos: Chaos,
    server: ServerProcess,
    client: Client,
    kind: str,
    expected: Reference,
    number: int,
    *,
    is_all: bool,
) -> tuple[int, int]:
    """How many files were spoilt, and how many packs or populations went on from others."""
    wait_workers(server)
    name = f"{kind}-{number}"
    job = Watched(client, name, _SPECS[kind], server)
    took = wait_until(lambda: _has_two(server, name), 120, 0.02)
    server.kill()
    if took > 120:
        raise RuntimeError(f"{name} never had two checkpoints of each pack that trains")
    saved = _list_saved(server, name)
    chosen = saved if is_all else _newest([s for s in saved if not s.is_closed])
    # As they were: two that are swapped for each other would each be spoilt, and then good again.
    contents = {s.path: s.path.read_bytes() for s in saved}
    ways = []
    for checkpoint in chosen:
        way = chaos.rng.choice(_WAYS)
        other = next(content for path, content in contents.items() if path != checkpoint.path)
        way(checkpoint.path, chaos.rng, other)
        ways.append(f"{way.__name__[1:]} {checkpoint.path.name}")
    chaos.say(f"{name}: {', '.join(ways)}" + " (all that there are)" * is_all)
    before = len(server.log)
    server.start()
    server.wait_serving()
    job.check(chaos, client, expected, _END_SECONDS)
    told = {(e["pack_index"], e["epoch"]) for e in server.told("checkpoint_unreadable", before)}
    restored = [e["epoch"] for e in server.told("checkpoint_restored", before)]
    if kind == "grid":
        _check_restored(chaos, name, saved, chosen, told, restored)
    else:
        restored = [e["until"] for e in server.told("population_restored", before)]
        chaos.check(
            bool(restored) != is_all,
            f"{name} went on from stages {restored}, with {'no' if is_all else 'some'} good files",
        )
    chaos.check(bool(told), f"{name}: nothing was told of the files that were spoilt")
    return len(chosen), len(restored)


def _check_restored(
    chaos: Chaos,
    name: str,
    saved: Sequence[Saved],
    spoilt: Sequence[Saved],
    told: set[tuple[int, int]],
    restored: Sequence[int],
) -> None:
    """Each pack of a grid goes on by itself: from its last good file."""
    untold = {(s.pack, s.epoch) for s in spoilt} - told
    chaos.check(not untold, f"{name}: nothing was told of the files of (pack, epoch) {untold}")
    good = sorted(s.epoch for s in _newest([s for s in saved if s not in spoilt]))
    chaos.check(
        sorted(restored) == good, f"{name}: packs went on from epochs {restored}, not {good}"
    )


def _newest(saved: Sequence[Saved]) -> list[Saved]:
    """The last of each pack; they come in the order of their epochs."""
    return list({checkpoint.pack: checkpoint for checkpoint in saved}.values())


def _has_two(server: ServerProcess, name: str) -> bool:
    """Whether each pack that trains has two checkpoints."""
    saved = Counter(s.pack for s in _list_saved(server, name) if not s.is_closed)
    return bool(saved) and min(saved.values()) >= 2


def _list_saved(server: ServerProcess, name: str) -> list[Saved]:
    """In the order of their epochs."""
    uri = f"file:{server.data_dir}/packtrain.db?mode=ro"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as store:
        found = store.execute(
            "SELECT c.pack_index, epoch, name, is_closed FROM checkpoints c "
            "JOIN jobs ON uid = c.job_uid "
            "JOIN packs p ON p.job_uid = c.job_uid AND p.pack_index = c.pack_index "
            "WHERE job_id = ? ORDER BY epoch",
            (name,),
        ).fetchall()
    folder = server.data_dir / "artifacts" / "checkpoints"
    return [Saved(pack, epoch, folder / file, bool(over)) for pack, epoch, file, over in found]
