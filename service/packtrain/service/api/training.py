"""TrainingService."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import shutil
import uuid
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from packtrain.service.api.requests import (
    Context,
    heartbeat_seconds,
    page_size,
    read_page_number,
    request_key,
    write_page_token,
)
from packtrain.service.api.trial_results import TrialQuery, TrialResults
from packtrain.service.contract import (
    Planner,
    TrialParameters,
    Violations,
    messages,
    read_update,
)
from packtrain.service.coordinator import Coordinator
from packtrain.service.networks import Origin
from packtrain.service.records import (
    JobRecord,
    JobUpdate,
    MetricsRecorded,
    TrialRecord,
)
from packtrain.service.resources import check_id, parse_job_name, parse_trial_name
from packtrain.service.results.importance import EVALUATOR
from packtrain.service.states import TrialState
from packtrain.service.store import Store
from packtrain.service.trained_networks import locate_model, read_trial_model
from packtrain.service.watch import Filter, read_token, watch_job, write_token
from packtrain.v1 import job_pb2, training_service_pb2, training_service_pb2_grpc
from packtrain.workers import failpoints

_READ_BYTES = 2 << 20
_CHUNK_BYTES = 1 << 20

pb = training_service_pb2


class TrainingServicer(training_service_pb2_grpc.TrainingServiceServicer):
    """Jobs, trials, metrics and models."""

    def __init__(
        self, store: Store, coordinator: Coordinator, planner: Planner, models_dir: Path
    ) -> None:
        self._store = store
        self._results = TrialResults(store)
        self._coordinator = coordinator
        self._planner = planner
        self._models_dir = models_dir

    async def CreateJob(self, request: pb.CreateJobRequest, _: Context) -> pb.CreateJobResponse:
        """Check, plan, and store."""
        if request.job_id:
            check_id(request.job_id, "job_id")
        key = request_key(request, "CreateJob")
        if key is not None and (earlier := await self._store.repeated(key)) is not None:
            return messages.to_created(earlier)
        job_id = request.job_id or f"job-{secrets.token_hex(5)}"
        job = await asyncio.to_thread(
            self._planner.plan,
            request.spec,
            job_id,
            uuid.uuid4().hex,
            dict(request.labels),
            request.priority,
        )
        if request.validate_only:
            await self._store.check_free(job_id)
            return messages.to_preview(job)
        owner = self._coordinator.owner_of_new(job.trials)
        record = await self._store.create_job(job, key, owner)
        self._coordinator.wake()
        return messages.to_created(record)

    async def GetJob(self, request: pb.GetJobRequest, _: Context) -> pb.GetJobResponse:
        """One job, and the best of its trials where it is asked for."""
        job = await self._job(request.name)
        best = await self._best(job, request.best_by) if request.best_by else None
        return pb.GetJobResponse(job=messages.to_job(job), best=best)

    async def _best(self, job: JobRecord, text: str) -> pb.BestTrial | None:
        found = await self._results.best(job, text)
        if found is None:
            return None
        goal, record, parameters = found
        return pb.BestTrial(
            trial=messages.to_trial(job, record, parameters.values(record.index)),
            metric=goal.metric,
            value=record.final_metrics[goal.metric],
            higher_is_better=goal.higher_is_better,
        )

    async def _job(self, name: str, field: str = "name") -> JobRecord:
        return await self._store.get_job(parse_job_name(name, field))

    async def ListJobs(self, request: pb.ListJobsRequest, _: Context) -> pb.ListJobsResponse:
        """Newest first; a page goes on below the last order that was shown."""
        size = page_size(request.page_size, 50, 500)
        states = messages.from_job_states(request.states)
        before = read_page_number(request.page_token)
        found = await self._store.list_jobs(size + 1, before, states, dict(request.labels))
        shown = _fitting(found[:size])
        more = write_page_token(shown[-1].order) if len(found) > len(shown) else ""
        jobs = [messages.to_job(job) for job in shown]
        return pb.ListJobsResponse(jobs=jobs, next_page_token=more)

    async def UpdateJob(self, request: pb.UpdateJobRequest, _: Context) -> pb.UpdateJobResponse:
        """Check and plan what it gets more to train, then change it all at once."""
        key = request_key(request, "UpdateJob")
        job_id = parse_job_name(request.job.name, "job.name")
        if key is not None and (earlier := await self._store.repeated(key)) is not None:
            await self._coordinator.follow(earlier.uid)
            return pb.UpdateJobResponse(job=messages.to_job(earlier))
        violations = Violations()
        wanted = read_update(request, violations)
        extension = None
        if wanted.more is not None:
            job = await self._store.get_job(job_id)
            job.check_changeable()
            extend = self._planner.extend
            extension = await asyncio.to_thread(extend, job, wanted.more, violations)
        violations.raise_if_any()
        change = JobUpdate(
            etag=request.job.etag,
            labels=wanted.labels,
            priority=wanted.priority,
            extension=extension,
        )
        record = await self._change(self._store.update_job(job_id, change, key))
        return pb.UpdateJobResponse(job=messages.to_job(record))

    async def CancelJob(self, request: pb.CancelJobRequest, _: Context) -> pb.CancelJobResponse:
        """After the segments that are under way."""
        key = request_key(request, "CancelJob")
        job_id = parse_job_name(request.name)
        record = await self._change(self._store.cancel_job(job_id, key))
        return pb.CancelJobResponse(job=messages.to_job(record))

    async def PauseJob(self, request: pb.PauseJobRequest, _: Context) -> pb.PauseJobResponse:
        """After the segments that are under way."""
        key = request_key(request, "PauseJob")
        job_id = parse_job_name(request.name)
        record = await self._change(self._store.pause_job(job_id, key))
        return pb.PauseJobResponse(job=messages.to_job(record))

    async def ResumeJob(self, request: pb.ResumeJobRequest, _: Context) -> pb.ResumeJobResponse:
        """From where it is held still; otherwise it is trained anew, and recorded once."""
        key = request_key(request, "ResumeJob")
        job_id = parse_job_name(request.name)
        record = await self._change(self._store.resume_job(job_id, key))
        return pb.ResumeJobResponse(job=messages.to_job(record))

    async def RetryJob(self, request: pb.RetryJobRequest, _: Context) -> pb.RetryJobResponse:
        """Its failed trials, in new packs."""
        key = request_key(request, "RetryJob")
        job_id = parse_job_name(request.name)
        if key is not None and (earlier := await self._store.repeated(key)) is not None:
            await self._coordinator.follow(earlier.uid)
            return pb.RetryJobResponse(job=messages.to_job(earlier))
        job = await self._store.get_job(job_id)
        job.check_changeable()
        packs = await self._store.list_packs(job.uid)
        failed = await self._store.list_trials(job, 0, job.trials, [TrialState.FAILED])
        proposals = await self._store.list_proposals(job.uid)
        retry = await asyncio.to_thread(self._planner.retry, job, failed, packs, proposals)
        record = await self._change(self._store.retry_job(job_id, retry, key))
        return pb.RetryJobResponse(job=messages.to_job(record))

    async def _change(self, change: Coroutine[Any, Any, JobRecord]) -> JobRecord:
        """Tell the store, then the coordinator, also where the caller has gone in between."""

        async def carry_out() -> JobRecord:
            record = await change
            await self._coordinator.follow(record.uid)
            return record

        return await asyncio.shield(asyncio.create_task(carry_out()))

    async def DeleteJob(self, request: pb.DeleteJobRequest, _: Context) -> pb.DeleteJobResponse:
        """The rows first: models that are left behind are swept at the next start."""
        key = request_key(request, "DeleteJob")
        job_id = parse_job_name(request.name)
        record = await self._store.delete_job(job_id, request.etag, key)
        if record is not None:
            await failpoints.hit_async("job.before_models_removed")
            models = self._models_dir / record.uid
            await asyncio.to_thread(shutil.rmtree, models, ignore_errors=True)
        return pb.DeleteJobResponse()

    async def WatchJob(
        self, request: pb.WatchJobRequest, _: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """Replay and follow."""
        job = await self._job(request.name)
        chosen = Filter.of(job, list(request.trials), list(request.metrics))
        interval = request.heartbeat_interval if request.HasField("heartbeat_interval") else None
        sequence = read_token(request.resume_token, job.uid)
        async for told in watch_job(
            self._store,
            job,
            sequence,
            chosen,
            heartbeat_seconds(interval),
            follow=not request.replay_only,
        ):
            token = write_token(job.uid, told.sequence)
            if told.event is None:
                yield pb.WatchJobResponse(resume_token=token, heartbeat=pb.Heartbeat())
            else:
                yield messages.to_watch_response(told.event, token)

    async def ListTrials(self, request: pb.ListTrialsRequest, _: Context) -> pb.ListTrialsResponse:
        """A page goes on after the last trial that was shown, wherever that stands by then."""
        job = await self._job(request.parent, "parent")
        size = page_size(request.page_size, 100, 1000)
        query = TrialQuery(
            states=tuple(messages.from_trial_states(request.states)),
            filter=request.filter,
            order_by=request.order_by,
            pareto=tuple(request.pareto),
        )
        page = await self._results.page(job, query, size, request.page_token)
        trials = await asyncio.to_thread(_shown_trials, job, page.records, page.parameters)
        return pb.ListTrialsResponse(
            trials=trials, next_page_token=page.next_token(len(trials)), total_size=page.total
        )

    async def GetTrial(self, request: pb.GetTrialRequest, _: Context) -> pb.GetTrialResponse:
        """One trial."""
        job_id, index = parse_trial_name(request.name)
        job = await self._store.get_job(job_id)
        record, parameters = await self._results.trial(job, index)
        trial = messages.to_trial(job, record, parameters.values(index))
        return pb.GetTrialResponse(trial=trial)

    async def GetImportance(
        self, request: pb.GetImportanceRequest, _: Context
    ) -> pb.GetImportanceResponse:
        """How much each parameter matters."""
        job = await self._job(request.name)
        goal, found, trials = await self._results.importance(job, request.metric)
        return pb.GetImportanceResponse(
            parameters=[
                pb.ParameterImportance(path=i.path, share=i.share, trials=i.trials) for i in found
            ],
            metric=goal.metric,
            higher_is_better=goal.higher_is_better,
            trials=trials,
            evaluator=EVALUATOR,
        )

    async def ReadMetrics(
        self, request: pb.ReadMetricsRequest, _: Context
    ) -> AsyncIterator[pb.ReadMetricsResponse]:
        """The blocks of the log."""
        job = await self._job(request.name)
        chosen = Filter.of(job, list(request.trials), list(request.metrics))
        sequence = 0
        while events := await self._store.read_events(
            job.uid, sequence, _READ_BYTES, metrics_only=True
        ):
            for event in events:
                sequence = event.sequence
                assert isinstance(event.body, MetricsRecorded)
                block = chosen.select(event.body)
                if block is not None:
                    yield pb.ReadMetricsResponse(block=messages.to_block(block))

    async def DownloadModel(
        self, request: pb.DownloadModelRequest, _: Context
    ) -> AsyncIterator[pb.DownloadModelResponse]:
        """One trial's slice of its pack's file."""
        job_id, index = parse_trial_name(request.name)
        job = await self._store.get_job(job_id)
        found = await self._store.list_trials(job, index, 1, [])
        path = locate_model(self._models_dir, job, index, found[0] if found else None)
        content, digest = await asyncio.to_thread(
            _read_model, path, Origin(job_id, index), found[0].arithmetics
        )
        header = pb.ModelHeader(size_bytes=len(content), sha256=digest)
        yield pb.DownloadModelResponse(header=header)
        for start in range(0, len(content), _CHUNK_BYTES):
            yield pb.DownloadModelResponse(chunk=content[start : start + _CHUNK_BYTES])


def _fitting(jobs: list[JobRecord]) -> list[JobRecord]:
    """As many as a client reads in one message (specifications carry data), at least one."""
    sizes = itertools.accumulate(len(job.spec) for job in jobs)
    return jobs[: max(1, sum(size <= _READ_BYTES for size in sizes))]


def _shown_trials(
    job: JobRecord, found: list[TrialRecord], parameters: TrialParameters
) -> list[job_pb2.Trial]:
    """As many of them, but at least one, as a client's 4 MiB hold: parameters may be arrays."""
    shown: list[job_pb2.Trial] = []
    left = _READ_BYTES
    for trial in found:
        message = messages.to_trial(job, trial, parameters.values(trial.index))
        left -= message.ByteSize()
        if left < 0 and shown:
            return shown
        shown.append(message)
    return shown


def _read_model(path: Path, origin: Origin, arithmetics: tuple[str, ...]) -> tuple[bytes, str]:
    content = read_trial_model(path, origin, arithmetics)
    return content, hashlib.sha256(content).hexdigest()
