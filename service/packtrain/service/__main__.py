"""`packtrain serve`, or `python -m packtrain.service`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os

# gRPC's own words about a port that is taken stand before ours otherwise.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import signal
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import structlog
import typer

from packtrain.service.pack_run import LEAST_SAVE_SECONDS
from packtrain.service.server import StartError, running_server
from packtrain.service.settings import Limits, Settings, parse_artifacts, parse_listen
from packtrain.service.slices import is_slice_running
from packtrain.workers import (
    Engine,
    EngineStartError,
    SupervisedEngine,
    describe_cluster,
    failpoints,
    kill_child_sessions,
)

log = structlog.get_logger()

# A stop takes seconds. Whatever hangs is left behind then: whoever sent SIGTERM waits half a minute.
STOP_SECONDS = 27.0

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, as of the other commands
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="Where to listen. Port 0 takes a free one.")] = (
        "127.0.0.1:50051"
    ),
    data_dir: Annotated[
        Path, typer.Option(help="Where jobs, metrics, models and uploaded datasets are kept.")
    ] = Path("packtrain-data"),
    store: Annotated[
        str | None,
        typer.Option(
            envvar="PACKTRAIN_STORE",
            metavar="URL",
            help="A PostgreSQL that keeps jobs and metrics, postgresql://USER:PASSWORD@HOST/DB. "
            "Default: SQLite in the data directory.",
        ),
    ] = None,
    datasets: Annotated[
        list[Path] | None,
        typer.Option(help="A directory whose files (IDX, npz, CSV) are offered by name."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Workers to train on. Default: one for each core, or CPU of the cluster."
        ),
    ] = None,
    max_workers: Annotated[
        int | None,
        typer.Option(
            help="With --ray-address, instead of --workers: as many as there is work for, up to so "
            "many; Ray's autoscaler adds and removes nodes."
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help='A Ray cluster to train on, "auto" or HOST:PORT, which may be away for a while. '
            "Default: a local one of its own."
        ),
    ] = None,
    artifacts: Annotated[
        str | None,
        typer.Option(
            help="Where checkpoints are kept: a folder, or a URI that fsspec knows, such as "
            "s3://bucket/folder. Default: a folder in the data directory."
        ),
    ] = None,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            help="Seconds that a pack trains between two checkpoints, at the least. They are "
            "rarer where they would cost more than 2 % of the time."
        ),
    ] = LEAST_SAVE_SECONDS,
    max_job_memory: Annotated[
        float | None,
        typer.Option(help="GiB of the workers' memory that a job may need. Default: half of all."),
    ] = None,
) -> None:
    """Run the training service until SIGINT or SIGTERM.

    Example: packtrain serve --listen 127.0.0.1:50051 --data-dir ./packtrain-data
    """
    _configure_logging()
    try:
        failpoints.arm_from_environment()
        host, port = parse_listen(listen)
        limits = Limits()
        if max_job_memory is not None:
            if not math.isfinite(max_job_memory):
                raise ValueError(f"--max-job-memory must be a number, not {max_job_memory}")
            limits = Limits(max_job_memory_bytes=int(max_job_memory * 2**30))
        settings = Settings(
            host=host,
            port=port,
            data_dir=data_dir.absolute(),
            store=store or None,
            datasets=tuple(d.absolute() for d in datasets or ()),
            workers=_count_cores() if workers is None and ray_address is None else workers,
            max_workers=max_workers,
            ray_address=ray_address,
            artifacts=parse_artifacts(artifacts) if artifacts else None,
            least_save_seconds=checkpoint_every,
            limits=limits,
        )
        settings.open_checkpoints()
    except ValueError as error:
        _fail(str(error), 2)
    if ray_address is None:
        typer.echo("packtrain serve: starting its workers ...", err=True)
    try:
        asyncio.run(_serve(settings))
    except (StartError, EngineStartError) as error:
        _fail(str(error), 1)
    if is_slice_running():
        # All is stored and closed. PyTorch aborts where Python ends a thread within its code.
        sys.stdout.flush()
        os._exit(0)


def _count_cores() -> int:
    return len(os.sched_getaffinity(0))


def _fail(sentence: str, code: int) -> NoReturn:
    typer.echo(f"packtrain serve: {sentence}", err=True)
    raise typer.Exit(code)


def _make_engine(settings: Settings, on_change: Callable[[], None]) -> Engine:
    return SupervisedEngine(
        workers=settings.workers,
        max_workers=settings.max_workers,
        ray_address=settings.ray_address,
        log_dir=settings.log_dir,
        on_change=on_change,
    )


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            log.warning("stopped_at_once")
            _end_at_once(1)
        stop.set()
        watchdog.start()

    watchdog = threading.Timer(STOP_SECONDS, _give_up)
    watchdog.daemon = True
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    serving = asyncio.create_task(_run(settings))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.done():
        # Wherever it is, in its start too: its own clean-up follows.
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    elif error := serving.exception():
        raise error


def _give_up() -> None:
    log.error("stop_timed_out", seconds=STOP_SECONDS)
    _end_at_once(0)


def _end_at_once(code: int) -> NoReturn:
    """End without waiting for anything, and take the engine along, which may hang. Nothing is
    lost: the store has what was acknowledged, as after a crash."""
    kill_child_sessions()
    os._exit(code)


async def _run(settings: Settings) -> None:
    async with running_server(settings, _make_engine) as server:
        # One line that people read and programs wait for.
        typer.echo(
            f"packtrain {version('packtrain')} listens on {server.address} "
            f"({_describe_workers(settings, server.engine)}, data in {settings.data_dir}"
            f"{', jobs in ' + settings.store_name if settings.store else ''})"
        )
        sys.stdout.flush()
        await server.wait_crash()
        raise StartError("the service stopped itself after an error of its own: see its log")


def _describe_workers(settings: Settings, engine: Engine) -> str:
    if settings.ray_address is None:
        return f"{engine.workers} workers"
    return f"workers of {describe_cluster(settings.ray_address)}"


def _configure_logging() -> None:
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    for_people: list[structlog.typing.Processor] = [structlog.dev.ConsoleRenderer()]
    for_machines: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(sort_keys=True),
    ]
    structlog.configure(
        processors=shared + (for_people if sys.stderr.isatty() else for_machines),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


if __name__ == "__main__":
    app(prog_name="packtrain serve")
