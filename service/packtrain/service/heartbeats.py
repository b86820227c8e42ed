"""Tells which replicas are dead, by beats that are counted and not by any clock that people set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class _Pulse:
    beats: int
    still_seconds: float = 0.0


class Heartbeats:
    """What one observer saw of the others, by its own monotonic clock.

    A replica is dead when its beats stood still for ``patience_seconds``. Between two looks no more
    than ``longest_step_seconds`` count: an observer that was stopped itself, or had no database,
    learns nothing of the others meanwhile, who may have had none either.
    """

    def __init__(self, patience_seconds: float, longest_step_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._longest_step_seconds = longest_step_seconds
        self._pulses: dict[str, _Pulse] = {}
        self._looked: float | None = None

    def look(self, beats: Mapping[str, int], now: float) -> dict[str, int]:
        """``beats`` of the others, by id, as read at ``now``, in seconds; returned are those that
        are dead, with the beats that they died with."""
        step = 0.0 if self._looked is None else now - self._looked
        step = min(step, self._longest_step_seconds)
        self._looked = now
        pulses: dict[str, _Pulse] = {}
        for replica_id, count in beats.items():
            pulse = self._pulses.get(replica_id)
            if pulse is None or pulse.beats != count:
                pulses[replica_id] = _Pulse(count)
            else:
                pulses[replica_id] = _Pulse(count, pulse.still_seconds + step)
        self._pulses = pulses
        return {
            replica_id: pulse.beats
            for replica_id, pulse in pulses.items()
            if pulse.still_seconds >= self._patience_seconds
        }
