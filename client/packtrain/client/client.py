"""The client that blocks while it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Self, TypeVar

import grpc
from numpy.typing import ArrayLike

from packtrain.client import calls
from packtrain.client.calls import Call, CreatedJob, Page, SpecLike, TrialQuery
from packtrain.client.errors import ApiError, api_error
from packtrain.client.events import Event
from packtrain.client.handles import JobHandle
from packtrain.client.models import Model
from packtrain.client.names import job_name
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
from packtrain.client.uploads import make_splits
from packtrain.client.watching import (
    Interruption,
    Watch,
    WatchRequest,
    early_end_error,
    silence_error,
)

T = TypeVar("T")


class Client:
    """A connection to a server; close it, or use it as a context manager.

    ``target`` is an address such as "localhost:50051". Jobs and datasets are named with or
    without "jobs/" and "datasets/". Every method raises ApiError where the server refuses or
    can't be reached; calls that are safe to send again are retried as ``retry`` says. It may be
    shared by threads.
    """

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
        self._channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stubs = calls.make_stubs(self._channel)

    @property
    def target(self) -> str:
        """The server's address."""
        return self._settings.target

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and every watch on it."""
        self._channel.close()

    # Jobs

    def train(
        self,
        spec: SpecLike,
        job_id: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> JobHandle:
        """Create a job and return at once."""
        created = self.create_job(spec, job_id, labels=labels, priority=priority)
        return JobHandle(self, created.job)

    def run(
        self,
        spec: SpecLike,
        job_id: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        priority: int = 0,
    ) -> JobHandle:
        """Create a job and wait for its end. Raises JobFailed."""
        return self.train(spec, job_id, labels=labels, priority=priority).wait()

    def job(self, name: str) -> JobHandle:
        """The handle of a job that there is already."""
        return JobHandle(self, self.get_job(name))

    def create_job(
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
        return self._invoke(
            calls.create_job(spec, job_id, labels, priority, request_id, validate_only)
        )

    def get_job(self, name: str) -> Job:
        """A job as it is now."""
        return self._invoke(calls.get_job(name))

    def list_jobs(
        self,
        *,
        states: Sequence[JobState] = (),
        labels: Mapping[str, str] | None = None,
        page_size: int = 0,
    ) -> Iterator[Job]:
        """The jobs in any of these states (none: all) that have all of these labels, newest
        first, fetched as needed."""
        return self._pages(lambda token: calls.list_jobs(states, labels, page_size, token))

    def update_job(
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
            more = calls.search_of(self.get_job(name)), trials
        return self._invoke(
            calls.update_job(name, labels, priority, more, epochs, etag, request_id)
        )

    def cancel_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Stop a job after the segments that are under way."""
        return self._invoke(calls.cancel_job(name, request_id))

    def pause_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Hold a job after the segments that are under way, until it is resumed."""
        return self._invoke(calls.pause_job(name, request_id))

    def resume_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Let a job go on that is PAUSED."""
        return self._invoke(calls.resume_job(name, request_id))

    def retry_job(self, name: str, *, request_id: str | None = None) -> Job:
        """Train a job's trials anew that have FAILED."""
        return self._invoke(calls.retry_job(name, request_id))

    def delete_job(self, name: str, *, etag: str = "", request_id: str | None = None) -> None:
        """Delete a job that has ended, with its metrics and models."""
        self._invoke(calls.delete_job(name, etag, request_id))

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
    ) -> Generator[Event, None, None]:
        """All that happened to a job, then what happens, until it has ended.

        Each event comes exactly once and in order, through lost connections and restarts of the
        server. Raises WatchLost, with the token to go on with, when that takes too long.
        ``on_interruption`` is called with the error when a connection is lost.
        """
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
    ) -> Iterator[Trial]:
        """A job's trials, fetched as needed; with nothing else said all of them, by index.

        ``filter`` is an expression such as "state = SUCCEEDED AND validation_accuracy > 0.9 AND
        parameters.optimizer.sgd.learning_rate < 1", ``order_by`` fields such as
        "validation_accuracy desc, index"; ``pareto`` leaves the front of these metrics, the best
        by the first of them first. The contract's ListTrialsRequest has the grammar.
        """
        query = TrialQuery(
            states=states, filter=filter, order_by=order_by, pareto=pareto, page_size=page_size
        )
        return self._pages(lambda token: calls.list_trials(name, query, token))

    def get_trial(self, name: str, index: int) -> Trial:
        """One trial of a job."""
        return self._invoke(calls.get_trial(name, index))

    def best_trial(self, name: str, metric: str, goal: Goal | None = None) -> BestTrial:
        """The best trial so far by a metric, of those that neither DIVERGED nor FAILED.

        ``goal`` None takes the highest for accuracies and their like, the lowest for all else.
        Raises NoBestTrial where none of them has a finite value.
        """
        return self._invoke(calls.get_best(name, metric, goal))

    def importance(self, name: str, metric: str, goal: Goal | None = None) -> Importance:
        """How much each searched parameter matters for a metric, and for what is best by it.

        Raises FailedPrecondition where too few trials have a finite value.
        """
        return self._invoke(calls.get_importance(name, metric, goal))

    def read_metrics(
        self, name: str, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()
    ) -> Results:
        """The metrics recorded so far, of these trials and metrics (none: all)."""
        return self._invoke(calls.read_metrics(name, trials, metrics))

    def stream_metrics(
        self, name: str, *, trials: Sequence[int] = (), metrics: Sequence[str] = ()
    ) -> Iterator[Block]:
        """As :meth:`read_metrics`, block by block in the order of their recording: for more than
        memory holds. It is not retried."""
        call = calls.stream_metrics(name, trials, metrics)
        stream = self._stubs[call.service].ReadMetrics(
            call.arguments(), timeout=call.timeout_seconds(self._settings)
        )
        try:
            yield from map(call.parse, stream)
        except grpc.RpcError as error:
            raise self._read_error(error) from None
        finally:
            stream.cancel()

    def download_model(self, name: str, trial: int = 0) -> Model:
        """The weights and biases of a trial that SUCCEEDED."""
        return self._invoke(calls.download_model(name, trial))

    # Datasets

    def upload_dataset(
        self,
        name: str,
        x: ArrayLike,
        y: ArrayLike,
        *,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        splits: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
        description: str = "",
    ) -> Dataset:
        """Store (x, y) as the split "train", ``test`` as "test", and any further splits.

        ``x`` is (rows, ...), numbers. ``y`` is (rows,) of integers, classes from 0, or (rows,)
        or (rows, outputs) of floats. The same content under the same name again is no error.
        Raises DatasetError where they are anything else, or empty.
        """
        arrays = make_splits(x, y, test, splits)
        return self._invoke(calls.upload_dataset(name, arrays, description))

    def get_dataset(self, name: str) -> Dataset:
        """What a dataset is."""
        return self._invoke(calls.get_dataset(name))

    def list_datasets(self, *, page_size: int = 0) -> Iterator[Dataset]:
        """All datasets, by name, fetched as needed."""
        return self._pages(lambda token: calls.list_datasets(page_size, token))

    def delete_dataset(self, name: str, *, request_id: str | None = None) -> None:
        """Delete an uploaded dataset."""
        self._invoke(calls.delete_dataset(name, request_id))

    def server_info(self) -> ServerInfo:
        """What the server is and offers."""
        return self._invoke(calls.get_server_info())

    # Waiting

    def _invoke(self, call: Call[T]) -> T:
        attempts = calls.Attempts(self._settings.retry)
        method = getattr(self._stubs[call.service], call.method)
        timeout = call.timeout_seconds(self._settings)
        while True:
            try:
                response = method(call.arguments(), timeout=timeout)
                return call.parse(list(response) if call.is_stream else response)
            except grpc.RpcError as error:
                pause = attempts.pause_seconds(call.refusal(self._read_error(error)))
            time.sleep(pause)

    def _pages(self, page: Callable[[str], Call[Page[T]]]) -> Iterator[T]:
        token = ""
        while True:
            found = self._invoke(page(token))
            yield from found.items
            token = found.next_token
            if not token:
                return

    def _follow(self, watch: Watch) -> Generator[Event, None, None]:
        while True:
            try:
                with closing(self._connect(watch)) as events:
                    yield from events
                if watch.is_complete():
                    return
                failure = early_end_error(self.target)
            except _Lost as lost:
                failure = lost.error
            time.sleep(watch.interrupt(failure))

    def _connect(self, watch: Watch) -> Generator[Event, None, None]:
        call = self._stubs["Training"].WatchJob(watch.request())
        with _Watchdog(call, watch.silence_seconds) as watchdog:
            while True:
                try:
                    watchdog.wait_for_message()
                    message = next(call, None)
                except grpc.RpcError as error:
                    raise _Lost(self._lost_error(error, watchdog)) from None
                finally:
                    watchdog.message_came()
                if message is None:
                    return
                event = watch.receive(message)
                if event is not None:
                    yield event

    def _lost_error(self, error: grpc.RpcError, watchdog: _Watchdog) -> ApiError:
        if watchdog.barked:
            return silence_error(self.target, watchdog.seconds)
        return self._read_error(error)

    def _read_error(self, error: grpc.RpcError) -> ApiError:
        return api_error(error, self.target)


class _Lost(Exception):  # noqa: N818  (it never leaves this module)
    """A connection of a watch ended otherwise than with OK."""

    def __init__(self, error: ApiError) -> None:
        self.error = error


class _Watchdog:
    """Cancels a stream that stays silent for ``seconds`` while somebody waits for a message.

    The time that the watcher takes over a message does not count.
    """

    def __init__(self, call: Any, seconds: float) -> None:
        self.seconds = seconds
        self.barked = False
        self._call = call
        self._deadline: float | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._guard, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._call.cancel()

    def wait_for_message(self) -> None:
        self._deadline = time.monotonic() + self.seconds

    def message_came(self) -> None:
        self._deadline = None

    def _guard(self) -> None:
        pause = self.seconds
        while not self._done.wait(pause):
            deadline = self._deadline
            left = self.seconds if deadline is None else deadline - time.monotonic()
            if left <= 0:
                self.barked = True
                self._call.cancel()
                return
            pause = left
