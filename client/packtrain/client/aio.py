"""The client for asyncio: the same calls, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self, TypeVar

import grpc
from numpy.typing import ArrayLike

from packtrain.client import calls, handles
from packtrain.client.calls import Call, CreatedJob, Page, SpecLike, TrialQuery
from packtrain.client.errors import ApiError, api_error
from packtrain.client.events import Event
from packtrain.client.export import open_export
from packtrain.client.handles import LARGEST_PAGE
from packtrain.client.models import Model
from packtrain.client.names import job_name
from packtrain.client.repeats import Repeats, group_repeats
from packtrain.client.resources import (
    BestTrial,
    Dataset,
    Importance,
    Job,
    JobState,
    ServerInfo,
    Trial,
    TrialState,
)
from packtrain.client.results import Block, Goal, Results
from packtrain.client.settings import (
    CHANNEL_OPTIONS,
    ClientSettings,
    RetrySettings,
    WatchSettings,
)
from packtrain.client.trial_columns import TrialColumns
from packtrain.client.uploads import make_splits
from packtrain.client.watching import (
    Interruption,
    Watch,
    WatchRequest,
    early_end_error,
    silence_error,
)

T = TypeVar("T")


class AsyncClient:
    """What :class:`Client` is, for asyncio; make it within a running loop."""

    def __init__(
        self,
        target: str = "localhost:50051",
        *,
        timeout_seconds: float = 30.0,
        transfer_timeout_seconds: float = 600.0,
        retry: RetrySettings | None = None,
    ) -> None:
        self._settings = ClientSettings(
            target=target,
            timeout_seconds=timeout_seconds,
            transfer_timeout_seconds=transfer_timeout_seconds,
            retry=retry or RetrySettings(),
        )
        self._channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stubs = calls.make_stubs(self._channel)

    @property
    def target(self) -> str:
        """The server's address."""
        return self._settings.target

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, and every watch on it."""
        await self._channel.close()

    # Jobs

    async def train(
        self,
        spec: SpecLike,
        job_id: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> AsyncJobHandle:
        """Create a job and return at once."""
        created = await self.create_job(spec, job_id, labels=labels, priority=priority)
        return AsyncJobHandle(self, created.job)

    async def run(
        self,
        spec: SpecLike,
        job_id: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> AsyncJobHandle:
        """Create a job and wait for its end. Raises JobFailed."""
        return await (await self.train(spec, job_id, labels=labels, priority=priority)).wait()

    async def job(self, name: str) -> AsyncJobHandle:
        """The handle of a job that there is already."""
        return AsyncJobHandle(self, await self.get_job(name))

    async def create_job(
        self,
        spec: SpecLike,
        job_id: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
        request_id: str | None = None,
        validate_only: bool = False,
    ) -> CreatedJob:
        """Create a job: (job, plan). With ``validate_only``, check and plan it only.

        ``labels`` are to find it by; the ``priority``, from -100 to 100, says which jobs get the
        workers first.
        """
        return await self._invoke(
            calls.create_job(spec, job_id, labels, priority, request_id, validate_only)
        )

    async def get_job(self, name: str) -> Job:
        """A job as it is now."""
        return await self._invoke(calls.get_job(name))

    def list_jobs(
        self,
        *,
        states: Sequence[JobState] = (),
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> AsyncIterator[Job]:
        """The jobs in any of these states (none: all) that have all of these labels, newest
        first, fetched as needed."""
        return self._pages(lambda token: calls.list_jobs(states, labels, page_size, token))

    async def update_job(
        self,
        name: str,
        *,
        labels: Mapping[str, str | None] | None = None,
        priority: int | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        etag: str = "",
        request_id: str | None = None,
    ) -> Job:
        """Change a job's labels (those that are named; None removes one) and its priority, or
        give it more trials (of a search that is random, Sobol or learns) or epochs: a job that has
        ended goes on then.

        Raises InvalidArgument where the numbers would not be those of a job that had so many from
        the beginning, FailedPrecondition where it was cancelled, Aborted where it no longer has
        the ``etag``.
        """
        more = None
        if trials is not None:
            more = calls.search_of(await self.get_job(name)), trials
        return await self._invoke(
            calls.update_job(name, labels, priority, more, epochs, etag, request_id)
        )

    async def cancel_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Stop a job after the segments that are under way."""
        return await self._invoke(calls.cancel_job(name, request_id))

    async def pause_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Hold a job after the segments that are under way, until it is resumed."""
        return await self._invoke(calls.pause_job(name, request_id))

    async def resume_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Let a job go on that is PAUSED."""
        return await self._invoke(calls.resume_job(name, request_id))

    async def retry_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Train a job's trials anew that have FAILED."""
        return await self._invoke(calls.retry_job(name, request_id))

    async def delete_job(self, name: str, *, etag: str = "", request_id: str | None = None) -> None:
        """Delete a job that has ended, with its metrics and models."""
        await self._invoke(calls.delete_job(name, etag, request_id))

    def watch_job(
        self,
        name: str,
        *,
        resume_token: str = "",
        trials: Sequence[int] = (),
        metrics: Sequence[str] = (),
        heartbeats: bool = False,
        replay_only: bool = False,
        settings: WatchSettings | None = None,
        on_interruption: Interruption | None = None,
    ) -> AsyncGenerator[Event, None]:
        """All that happened to a job, then what happens; see :meth:`Client.watch_job`."""
        wanted = WatchRequest(
            name=job_name(name),
            resume_token=resume_token,
            trials=trials,
            metrics=metrics,
            heartbeats=heartbeats,
            replay_only=replay_only,
            settings=settings or WatchSettings(),
            on_interruption=on_interruption,
        )
        return self._follow(Watch(wanted, self._settings.retry))

    def list_trials(
        self,
        name: str,
        *,
        states: Sequence[TrialState] = (),
        filter: str = "",  # noqa: A002  (the contract's word)
        order_by: str = "",
        pareto: Sequence[str] = (),
        page_size: int = 0,
    ) -> AsyncIterator[Trial]:
        """A job's trials, fetched as needed; see :meth:`Client.list_trials`."""
        query = TrialQuery(
            states=states, filter=filter, order_by=order_by, pareto=pareto, page_size=page_size
        )
        return self._pages(lambda token: calls.list_trials(name, query, token))

    async def get_trial(self, name: str, index: int) -> Trial:
        """One trial of a job."""
        return await self._invoke(calls.get_trial(name, index))

    async def best_trial(self, name: str, metric: str, goal: Goal | None = None) -> BestTrial:
        """The best trial so far by a metric; see :meth:`Client.best_trial`."""
        return await self._invoke(calls.get_best(name, metric, goal))

    async def importance(self, name: str, metric: str, goal: Goal | None = None) -> Importance:
        """How much each searched parameter matters; see :meth:`Client.importance`."""
        return await self._invoke(calls.get_importance(name, metric, goal))

    async def read_metrics(
        self, name: str, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()
    ) -> Results:
        """The metrics recorded so far, of these trials and metrics (none: all)."""
        return await self._invoke(calls.read_metrics(name, trials, metrics))

    async def stream_metrics(
        self, name: str, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()
    ) -> AsyncIterator[Block]:
        """Block by block, for more than memory holds; see :meth:`Client.stream_metrics`."""
        call = calls.stream_metrics(name, trials, metrics)
        stream = self._stubs[call.service].ReadMetrics(
            call.arguments(), timeout=call.timeout_seconds(self._settings)
        )
        try:
            async for message in stream:
                yield call.parse(message)
        except grpc.RpcError as error:
            raise self._read_error(error) from None
        finally:
            stream.cancel()

    async def download_model(self, name: str, trial: int = 0) -> Model:
        """The weights and biases of a trial that SUCCEEDED."""
        return await self._invoke(calls.download_model(name, trial))

    # Datasets

    async def upload_dataset(
        self,
        name: str,
        x: ArrayLike,
        y: ArrayLike,
        *,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        splits: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        description: str = "",
    ) -> Dataset:
        """Store arrays as a dataset; see :meth:`Client.upload_dataset`."""
        arrays = make_splits(x, y, test, splits)
        return await self._invoke(calls.upload_dataset(name, arrays, description))

    async def get_dataset(self, name: str) -> Dataset:
        """What a dataset is."""
        return await self._invoke(calls.get_dataset(name))

    def list_datasets(self, *, page_size: int = 0) -> AsyncIterator[Dataset]:
        """All datasets, by name, fetched as needed."""
        return self._pages(lambda token: calls.list_datasets(page_size, token))

    async def delete_dataset(self, name: str, *, request_id: str | None = None) -> None:
        """Delete an uploaded dataset."""
        await self._invoke(calls.delete_dataset(name, request_id))

    async def server_info(self) -> ServerInfo:
        """What the server is and offers."""
        return await self._invoke(calls.get_server_info())

    # Waiting

    async def _invoke(self, call: Call[T]) -> T:
        attempts = calls.Attempts(self._settings.retry)
        method = getattr(self._stubs[call.service], call.method)
        timeout = call.timeout_seconds(self._settings)
        while True:
            try:
                response = method(call.arguments(), timeout=timeout)
                if call.is_stream:
                    return call.parse([message async for message in response])
                return call.parse(await response)
            except grpc.RpcError as error:
                pause = attempts.pause_seconds(call.refusal(self._read_error(error)))
            await asyncio.sleep(pause)

    async def _pages(self, page: Callable[[str], Call[Page[T]]]) -> AsyncIterator[T]:
        token = ""
        while True:
            found = await self._invoke(page(token))
            for item in found.items:
                yield item
            token = found.next_token
            if not token:
                return

    async def _follow(self, watch: Watch) -> AsyncGenerator[Event, None]:
        while True:
            call = self._stubs["Training"].WatchJob(watch.request())
            failure = None
            try:
                while (message := await self._next_message(call, watch)) is not grpc.aio.EOF:
                    event = watch.receive(message)
                    if event is not None:
                        yield event
            except _Lost as lost:
                failure = lost.error
            finally:
                call.cancel()
            if failure is None and watch.is_complete():
                return
            await asyncio.sleep(watch.interrupt(failure or early_end_error(self.target)))

    async def _next_message(self, call: Any, watch: Watch) -> Any:
        try:
            return await asyncio.wait_for(call.read(), watch.silence_seconds)
        except TimeoutError:
            raise _Lost(silence_error(self.target, watch.silence_seconds)) from None
        except grpc.RpcError as error:
            raise _Lost(self._read_error(error)) from None

    def _read_error(self, error: grpc.RpcError) -> ApiError:
        return api_error(error, self.target)


class _Lost(Exception):  # noqa: N818  (it never leaves this module)
    """A connection of a watch ended otherwise than with OK."""

    def __init__(self, error: ApiError) -> None:
        self.error = error


class AsyncJobHandle:
    """A job of a server. ``latest`` is the job as it was last read."""

    def __init__(self, client: AsyncClient, job: Job) -> None:
        self._client = client
        self.latest = job

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.name!r}, {self.latest.state})"

    @property
    def name(self) -> str:
        """ "jobs/{job}" """
        return self.latest.name

    @property
    def id(self) -> str:
        """The name without "jobs/"."""
        return self.latest.id

    async def refresh(self) -> Job:
        """Read the job as it is now."""
        self.latest = await self._client.get_job(self.name)
        return self.latest

    def watch(self, **options: Any) -> AsyncGenerator[Event, None]:
        """Its events; see :meth:`Client.watch_job` for the options."""
        return self._client.watch_job(self.name, **options)

    async def wait(self, timeout_seconds: float | None = None) -> Self:
        """Wait until it has ended, and go on from there; see :meth:`JobHandle.wait`."""
        deadline = handles.wait_deadline(timeout_seconds)
        settings = handles.wait_settings(timeout_seconds)
        events = self.watch(settings=settings, **handles.STATES_ONLY)
        async with aclosing(events):
            async for _ in events:
                handles.check_deadline(deadline, self.name)
        handles.check_outcome(await self.refresh())
        return self

    async def cancel(self) -> Job:
        """Stop it after the segments that are under way."""
        self.latest = await self._client.cancel_job(self.name)
        return self.latest

    async def pause(self) -> Job:
        """Hold it after the segments that are under way, until it is resumed."""
        self.latest = await self._client.pause_job(self.name)
        return self.latest

    async def resume(self) -> Job:
        """Let it go on, where it is PAUSED."""
        self.latest = await self._client.resume_job(self.name)
        return self.latest

    async def retry(self) -> Job:
        """Train its trials anew that have FAILED."""
        self.latest = await self._client.retry_job(self.name)
        return self.latest

    async def update(self, **changes: Any) -> Job:
        """Change ``labels``, ``priority``, ``trials`` or ``epochs``; see
        :meth:`Client.update_job`."""
        self.latest = await self._client.update_job(self.name, **changes)
        return self.latest

    async def delete(self) -> None:
        """Delete it, with its metrics and models, once it has ended."""
        await self._client.delete_job(self.name)

    async def trials(self, **query: Any) -> list[Trial]:
        """Its trials; see :meth:`Client.list_trials` for what may be asked for."""
        return [trial async for trial in self._client.list_trials(self.name, **query)]

    async def best(self, metric: str | None = None, goal: Goal | None = None) -> BestTrial:
        """The best trial so far; see :meth:`JobHandle.best`."""
        return await self._client.best_trial(
            self.name, *handles.chosen_metric(self.latest, metric, goal)
        )

    async def pareto(self, *metrics: str) -> list[Trial]:
        """The Pareto front of some metrics; see :meth:`JobHandle.pareto`."""
        return await self.trials(pareto=metrics)

    async def importance(self, metric: str | None = None, goal: Goal | None = None) -> Importance:
        """How much each parameter matters; see :meth:`JobHandle.importance`."""
        return await self._client.importance(
            self.name, *handles.chosen_metric(self.latest, metric, goal)
        )

    async def repeats(self) -> list[Repeats]:
        """Trials that differ in their seed alone; see :meth:`JobHandle.repeats`."""
        return group_repeats(await self.trials(page_size=LARGEST_PAGE))

    async def export(self, path: Path | str, *, history: bool = False) -> Path:
        """Write all trials into one file; see :meth:`JobHandle.export`."""
        columns = TrialColumns()
        async for trial in self._client.list_trials(self.name, page_size=LARGEST_PAGE):
            columns.add(trial)
        with open_export(Path(path), columns, self.latest.metrics, history=history) as file:
            if history:
                async for block in self._client.stream_metrics(self.name):
                    file.add(block)
        return Path(path)

    async def results(self, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()) -> Results:
        """The metrics recorded so far."""
        return await self._client.read_metrics(self.name, trials=trials, metrics=metrics)

    async def model(self, trial: int = 0) -> Model:
        """The weights and biases of a trial that SUCCEEDED."""
        return await self._client.download_model(self.name, trial)
