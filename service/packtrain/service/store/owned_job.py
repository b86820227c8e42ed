"""What the training of a job writes, in its owner's name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from packtrain.service.errors import IllegalTransitionError
from packtrain.service.learning_rates import RateFinding
from packtrain.service.records import (
    Adaptation,
    CheckpointRecord,
    EndedTrials,
    Failure,
    MetricsRecorded,
    NewPack,
    PackRecord,
    Proposal,
)
from packtrain.service.states import JobState, leading_to
from packtrain.service.store import checkpoints, endings, proposals, training
from packtrain.service.store.database import Database
from packtrain.service.store.endings import JobEnd
from packtrain.service.store.replicas import check_owner

T = TypeVar("T")


class OwnedJob:
    """The job ``uid`` as the replica ``owner`` may write it; made by Store.owned_job.

    Every write is refused, in its own transaction, once the job has another owner. All methods
    raise NotOwnerError then, or where the job was deleted; and may raise StoreUnavailableError.
    """

    def __init__(self, uid: str, owner: str, database: Database, tell: Callable[[], None]) -> None:
        self.uid = uid
        self.owner = owner
        self._database = database
        self._tell = tell

    async def _write(self, transaction: Callable[[Connection], T]) -> T:
        fenced = partial(_as_owner, uid=self.uid, owner=self.owner, transaction=transaction)
        # Also where nobody waits for the outcome any more, or nobody knows it.
        return await self._database.write(fenced, lambda _: self._tell())

    async def start_pack(self, pack_index: int) -> None:
        """The pack's trials are RUNNING, and so is the job. Repeating it does nothing.

        Raises IllegalTransitionError where the job no longer trains.
        """
        await self._write(partial(training.start_pack, uid=self.uid, pack_index=pack_index))

    async def record_segment(
        self,
        pack_index: int,
        generation: int,
        from_epoch: int,
        to_epoch: int,
        block: MetricsRecorded | None,
        ended: Sequence[EndedTrials],
        trial_epochs: int,
        arithmetics: Sequence[str],
    ) -> None:
        """The pack's position goes from one epoch to another, with what was measured between.

        ``trial_epochs`` are the epochs that this adds, summed over trials; ``arithmetics`` all
        that the pack was trained with so far. Raises IllegalTransitionError where the pack is not
        at ``from_epoch`` or of another ``generation``, or the job has ended.
        """
        await self._write(
            partial(
                training.record_segment,
                uid=self.uid,
                pack_index=pack_index,
                generation=generation,
                from_epoch=from_epoch,
                to_epoch=to_epoch,
                block=block,
                ended=tuple(ended),
                trial_epochs=trial_epochs,
                arithmetics=tuple(arithmetics),
            )
        )

    async def pass_rung(
        self,
        rung: int,
        closed: Sequence[int],
        stopped: NDArray[np.int32],
        packs: Sequence[NewPack],
        adaptations: Sequence[Adaptation] = (),
    ) -> list[PackRecord]:
        """Trials have been compared at epoch ``rung``: their packs are closed, some trials are
        stopped, the others go on in new packs, which are returned; some of a population's copied
        others.

        Raises IllegalTransitionError where the job no longer trains, or this was done before.
        """
        return await self._write(
            partial(
                training.pass_rung,
                uid=self.uid,
                rung=rung,
                closed=tuple(closed),
                stopped=stopped,
                packs=tuple(packs),
                adaptations=tuple(adaptations),
            )
        )

    async def add_checkpoint(self, generation: int, checkpoint: CheckpointRecord) -> list[str]:
        """From now on the pack can go on from this file; returned are the names of those that
        are no longer needed.

        Raises IllegalTransitionError where the checkpoint's epoch is not recorded, or the pack is
        closed or of another ``generation``, or the job has ended.
        """
        return await self._write(
            partial(
                checkpoints.add_checkpoint,
                uid=self.uid,
                generation=generation,
                checkpoint=checkpoint,
            )
        )

    async def remove_checkpoints(self, removed: Sequence[CheckpointRecord]) -> None:
        """Nothing goes on from these any more. Those that are not there are no error."""
        await self._write(
            partial(checkpoints.remove_checkpoints, uid=self.uid, checkpoints=tuple(removed))
        )

    async def add_proposal(
        self,
        generation: int,
        proposal: Proposal,
        packs: Sequence[NewPack],
        trial_epochs: int,
        failures: Mapping[Failure, Sequence[int]],
    ) -> list[PackRecord]:
        """An algorithm that learns has proposed: its trials will train in these packs, which are
        returned, for so many epochs in all, but for those that can't, which are FAILED.

        Raises IllegalTransitionError where the job no longer trains, is of another
        ``generation``, or this was done before.
        """
        return await self._write(
            partial(
                proposals.add_proposal,
                uid=self.uid,
                generation=generation,
                proposal=proposal,
                packs=tuple(packs),
                trial_epochs=trial_epochs,
                failures=dict(failures),
            )
        )

    async def fail_pack(self, pack_index: int, generation: int, failure: Failure) -> None:
        """Every trial of the pack that has not ended is FAILED.

        Raises IllegalTransitionError where the job no longer trains, or the pack is of another
        ``generation``.
        """
        await self._write(
            partial(
                endings.fail_pack,
                uid=self.uid,
                pack_index=pack_index,
                generation=generation,
                failure=failure,
            )
        )

    async def finish_job(
        self,
        state: JobState,
        failure: Failure | None,
        generation: int,
        finding: RateFinding | None = None,
    ) -> None:
        """The job has ended, with what it found; FAILED, so have all its trials that had not, some
        at a time.

        Raises IllegalTransitionError where it may not go to ``state``, or is of another
        ``generation``: there is more to train.
        """
        end = JobEnd(
            state=state,
            leaving=leading_to(state),
            failure=failure,
            generation=generation,
            finding=finding,
        )
        if state is JobState.FAILED:
            await self._end_all(end)
        else:
            await self._write(partial(endings.finish_job, uid=self.uid, end=end))

    async def finish_cancelling(self) -> None:
        """CANCELLING to CANCELLED, with every trial that had not ended, some at a time."""
        await self._write(lambda _: None)  # an owner of before learns so
        with contextlib.suppress(IllegalTransitionError):  # there is nothing to cancel
            await self._end_all(endings.CANCELLED)

    async def _end_all(self, end: JobEnd) -> None:
        """The trials that have not ended end with the job, some at a time."""
        rest = await self._database.read(partial(endings.find_rest, uid=self.uid, end=end))
        for rows in rest.slices():
            await self._write(
                partial(endings.end_slice, uid=self.uid, rest=rest, rows=rows, end=end)
            )
        await self._write(partial(endings.finish_job, uid=self.uid, end=end))


def _as_owner(
    connection: Connection, uid: str, owner: str, transaction: Callable[[Connection], T]
) -> T:
    check_owner(connection, uid, owner)
    return transaction(connection)
