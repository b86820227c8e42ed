"""This process among those that serve the store: its lease, and what becomes of the others'."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from packtrain.service.errors import StoreUnavailableError
from packtrain.service.heartbeats import Heartbeats
from packtrain.service.records import ReplicaRecord
from packtrain.service.store import Replicas
from packtrain.workers import ClusterShare, Reminder

log = structlog.get_logger()

RENEW_SECONDS = 2.0
# Before the others take it for dead, so that two train the same pack as seldom as can be.
SUSPEND_SECONDS = 8.0
EXPIRY_SECONDS = 10.0
# Between two segments a job needs no worker for a moment, and will need it again.
_DEMANDS = 5


class Replica:
    """The process's life in the store, under a random id; another one after it was taken for dead.

    ``shared``: other processes may serve the same store. Otherwise it owns all jobs from the
    moment it joins, and beats for nobody. ``demand`` tells how many workers it could use of a
    cluster that it shares, or None. Called are: ``on_change`` when jobs may have come to be
    nobody's, or this replica may train again; ``on_loss`` when its jobs are no longer its own;
    ``on_share`` with each renewal.
    """

    def __init__(
        self,
        replicas: Replicas,
        name: str,
        *,
        shared: bool,
        demand: Callable[[], int | None] = lambda: None,
        on_change: Callable[[], None] = lambda: None,
        on_loss: Callable[[], None] = lambda: None,
        on_share: Callable[[ClusterShare], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_shared = shared
        self._replicas = replicas
        self._name = name
        self._demand = demand
        self._on_change, self._on_loss, self._on_share = on_change, on_loss, on_share
        self._clock = clock
        self._id: str | None = None
        self._renewed = clock()
        self._demands: deque[int] = deque(maxlen=_DEMANDS)
        self._heartbeats = Heartbeats(EXPIRY_SECONDS, 2 * RENEW_SECONDS)

    @property
    def id(self) -> str | None:
        """The owner of the jobs that it trains; None while it is no member."""
        return self._id

    @property
    def may_train(self) -> bool:
        """Whether it is a member, as far as it can know: one that could not renew for a while may
        have been taken for dead."""
        if self._id is None:
            return False
        return not self.is_shared or self._clock() - self._renewed < SUSPEND_SECONDS

    async def join(self) -> None:
        """Become a member. Raises StoreUnavailableError."""
        asked, new = self._clock(), uuid.uuid4().hex
        await self._replicas.join(new, self._name, self._wanted(), alone=not self.is_shared)
        self._id, self._renewed = new, asked
        log.info("replica_joined", replica=new, name=self._name)

    async def run(self) -> None:
        """Renew, and remove the dead, until cancelled."""
        reminder, is_late = Reminder(), False
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not self.is_shared and self._id is not None:
                continue
            could_train = self.may_train
            try:
                # A database that hangs is one that is gone.
                async with asyncio.timeout(SUSPEND_SECONDS):
                    await self.renew()
            except (StoreUnavailableError, TimeoutError) as error:
                is_late = True
                if reminder.is_due(f"{error} {self.may_train}", self._clock()):
                    log.warning("replica_not_renewed", error=str(error), may_train=self.may_train)
            else:
                if is_late:
                    log.info("replica_renewed", replica=self._id)
                    is_late = False
                reminder.clear()
            if self.may_train and not could_train:
                self._on_change()

    async def renew(self) -> None:
        """One beat, and a look at the others. Raises StoreUnavailableError."""
        if self._id is None:
            await self.join()
            self._on_change()
            return
        asked = self._clock()
        seen = await self._replicas.renew(self._id, self._wanted())
        if seen is None:
            log.warning("replica_lost", replica=self._id)
            self._id = None
            self._on_loss()
            await self.renew()
            return
        self._renewed = asked
        await self._remove_dead(seen)
        self._share(seen)

    async def leave(self) -> None:
        """Give all jobs back, for others to take at once. Raises StoreUnavailableError."""
        left, self._id = self._id, None
        if left is not None:
            await self._replicas.remove(left)

    async def _remove_dead(self, seen: Sequence[ReplicaRecord]) -> None:
        beats = {other.replica_id: other.beats for other in seen if other.replica_id != self._id}
        for dead, count in self._heartbeats.look(beats, self._clock()).items():
            if await self._replicas.remove(dead, count):
                log.warning("replica_removed", replica=dead)
                self._on_change()

    def _wanted(self) -> int | None:
        demand = self._demand()
        if demand is None:
            return None
        self._demands.append(demand)
        return max(self._demands)

    def _share(self, seen: Sequence[ReplicaRecord]) -> None:
        sharing = [replica for replica in seen if replica.demand is not None]
        for position, replica in enumerate(sharing):
            if replica.replica_id == self._id:
                demands = tuple(other.demand or 0 for other in sharing)
                self._on_share(ClusterShare(demands, position))
