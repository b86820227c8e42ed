"""The states that an engine keeps between segments, whatever a state is to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from packtrain.workers.engine import Segment, StateLostError

State = TypeVar("State")


@dataclass(frozen=True, eq=False)
class Held(Generic[State]):
    """A pack's state after ``epoch`` epochs, and how long an epoch last took."""

    epoch: int
    state: State
    seconds_per_epoch: float


@dataclass(frozen=True, eq=False)
class Claim(Generic[State]):
    """A running segment's right to leave its end state behind. ``held`` None: from epoch 0."""

    pack_key: str
    end_epoch: int
    held: Held[State] | None


class StateTable(Generic[State]):
    """States by pack key. Only a key's last claim may store: whoever was superseded, dropped or
    cancelled leaves nothing behind, however late it finishes."""

    def __init__(self) -> None:
        self._held: dict[str, Held[State]] = {}
        self._claims: dict[str, Claim[State]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def claim(self, segment: Segment) -> Claim[State]:
        """Begin a segment. Raises :class:`StateLostError` without the state that it needs."""
        held = None
        if segment.start_epoch:
            held = self._held.get(segment.pack_key)
            if held is None or held.epoch != segment.start_epoch:
                at = "none" if held is None else f"one at epoch {held.epoch}"
                raise StateLostError(
                    f"pack {segment.pack_key} is to go on from epoch {segment.start_epoch}, "
                    f"the engine holds {at}"
                )
        claim = Claim(segment.pack_key, segment.start_epoch + segment.epochs, held)
        self._claims[segment.pack_key] = claim
        return claim

    def store(self, claim: Claim[State], state: State, seconds: float) -> None:
        """Keep the end state in place of the one before, if the claim still stands."""
        if self._claims.get(claim.pack_key) is not claim:
            return
        began = 0 if claim.held is None else claim.held.epoch
        self._held[claim.pack_key] = Held(
            claim.end_epoch, state, seconds / max(1, claim.end_epoch - began)
        )
        del self._claims[claim.pack_key]

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
