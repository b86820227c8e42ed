"""The states that an engine keeps between segments, whatever a state is to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from packtrain.workers.engine import Segment, StateLostError

State = TypeVar("State")


@dataclass(frozen=True, eq=False)
class Held(Generic[State]):
    """A pack's state after ``epoch`` epochs, and how long an epoch last took; None: no segment
    made it, it was read."""

    epoch: int
    state: State
    seconds_per_epoch: float | None


@dataclass(frozen=True, eq=False)
class Claim(Generic[State]):
    """A running segment's right to leave its end state behind. ``held`` are the states that it
    begins from, in the order of its sources; none: from epoch 0."""

    pack_key: str
    start_epoch: int
    end_epoch: int
    held: tuple[Held[State], ...]

    @property
    def seconds_per_epoch(self) -> float | None:
        """What the packs that it goes on from took together, if that is known of all."""
        known = [h.seconds_per_epoch for h in self.held if h.seconds_per_epoch is not None]
        return sum(known) if known and len(known) == len(self.held) else None


class StateTable(Generic[State]):
    """States by pack key. Only a key's last claim may store: whoever was superseded, dropped or
    cancelled leaves nothing behind, however late it finishes."""

    def __init__(self) -> None:
        self._held: dict[str, Held[State]] = {}
        self._claims: dict[str, Claim[State]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def claim(self, segment: Segment) -> Claim[State]:
        """Begin a segment. Raises :class:`StateLostError` without a state that it needs."""
        start = segment.start_epoch
        held = tuple(self.find(source.pack_key, start) for source in segment.sources)
        claim = Claim(segment.pack_key, start, start + segment.epochs, held)
        self._claims[segment.pack_key] = claim
        return claim

    def find(self, pack_key: str, epoch: int) -> Held[State]:
        """The state after these epochs. Raises :class:`StateLostError` without it."""
        held = self._held.get(pack_key)
        if held is None or held.epoch != epoch:
            at = "none" if held is None else f"one at epoch {held.epoch}"
            raise StateLostError(
                f"the state of pack {pack_key} at epoch {epoch} is wanted, the engine holds {at}"
            )
        return held

    def store(self, claim: Claim[State], state: State, seconds: float) -> None:
        """Keep the end state in place of the one before, if the claim still stands."""
        if self._claims.get(claim.pack_key) is not claim:
            return
        epochs = max(1, claim.end_epoch - claim.start_epoch)
        self._held[claim.pack_key] = Held(claim.end_epoch, state, seconds / epochs)
        del self._claims[claim.pack_key]

    def put(self, pack_key: str, epoch: int, state: State) -> None:
        """Keep a state that no segment made."""
        self._held[pack_key] = Held(epoch, state, None)

    def release(self, claim: Claim[State]) -> None:
        """Give up a claim; the state from before stays, so that the segment can run again."""
        if self._claims.get(claim.pack_key) is claim:
            del self._claims[claim.pack_key]

    def drop(self, pack_key: str) -> None:
        """Forget a state, and the right of a running segment to leave one."""
        self._held.pop(pack_key, None)
        self._claims.pop(pack_key, None)

    def clear(self) -> None:
        """Forget all."""
        self._held.clear()
        self._claims.clear()
