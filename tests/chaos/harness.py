"""What every scenario is given: a seed, a folder, servers, and a place to tell what did not hold."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from tests.chaos.jobs import KINDS, Reference, train_references
from tests.chaos.server import ServerProcess

T = TypeVar("T")

# Of one kind of violation the first ones tell enough.
_MOST_VIOLATIONS = 20


class NotRun(Exception):  # noqa: N818  (nothing went wrong: nothing was tried)
    """This machine lacks what a scenario needs; the message says what."""


class Chaos:
    """One run of one scenario. ``rng`` draws all that is random of it."""

    def __init__(
        self, name: str, seed: int, folder: Path, references: References, *, is_short: bool
    ) -> None:
        self.name = name
        self.seed = seed
        self.rng = random.Random(f"{seed}/{name}")
        self.folder = folder / name
        self.folder.mkdir()
        self.is_short = is_short
        self.violations: list[str] = []
        self._references = references
        self._began = time.monotonic()
        self._ends = contextlib.ExitStack()

    def __enter__(self) -> Chaos:
        return self

    def __exit__(self, *error: object) -> None:
        self._ends.close()

    def say(self, text: str) -> None:
        """Progress, as it comes."""
        print(f"{time.monotonic() - self._began:7.1f} s  {self.name}: {text}", flush=True)

    def check(self, held: bool, violation: str) -> None:
        """Something that must hold; ``violation`` says what was seen instead."""
        if held:
            return
        if len(self.violations) < _MOST_VIOLATIONS:
            self.violations.append(violation)
        self.say(f"DOES NOT HOLD: {violation}")

    def owns(self, context: contextlib.AbstractContextManager[T]) -> T:
        """Enter it, and leave it at the end of the scenario, whatever that is."""
        return self._ends.enter_context(context)

    def server(
        self,
        *options: str,
        data_dir: Path | None = None,
        name: str = "server",
        workers: int | None = 2,
    ) -> ServerProcess:
        """A server that is not started yet, on a data directory of the scenario's own. Those that
        share one have names of their own."""
        folder = data_dir or self.folder / "data"
        server = ServerProcess(folder, *options, name=name, workers=workers)
        self._ends.callback(server.clean_up)
        return server

    def reference(self, kind: str) -> Reference:
        """What a job of this kind comes to where nothing disturbs it."""
        return self._references.find(kind, self.say)


class References:
    """Each kind is trained once for all scenarios, on a server of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, Reference] = {}

    def find(self, kind: str, say: object) -> Reference:
        """The reference of a kind; all are trained at the first call."""
        if not self._found:
            with running(ServerProcess(self._folder / "undisturbed")) as server:
                assert callable(say)
                say(f"training {', '.join(KINDS)} undisturbed")
                self._found = train_references(server.address)
        return self._found[kind]


@contextlib.contextmanager
def running(server: ServerProcess) -> Iterator[ServerProcess]:
    """Started, trained upon, stopped."""
    try:
        server.start()
        server.wait_serving()
        yield server
    finally:
        server.clean_up()
