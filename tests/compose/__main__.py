"""Runs docker-compose.yml for real and takes its containers away, one after another.

``python -m tests.compose`` needs Docker Engine, Docker Compose and some minutes. Each container is
killed in the middle of a job that a real client follows through the published port; the job has to
end with the numbers of an undisturbed one, bit for bit, every epoch told once. It prints what it
does as it goes, removes all that it started, and exits with 1 where anything did not hold.
"""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

from tests.compose.composition import Composition, CompositionError, build_image
from tests.compose.endurance import ROUNDS, Endurance
from tests.compose.report import say

from packtrain.client import Client, RetrySettings
from packtrain.client.errors import PacktrainError

HEALTHY_SECONDS = 300.0
# What waits for a replica to come back must outlast the longest absence.
RETRY = RetrySettings(budget_seconds=120)


def main() -> int:
    """Build, start, disturb, remove. The exit status."""
    options = _parse_options()
    try:
        if not options.no_build:
            say("building the image ...")
            build_image()
        services = Composition(_free_port(), options.ray_workers, options.replicas)
    except CompositionError as error:
        say(f"FAULT: {error}")
        return 1
    faults = []
    try:
        faults = _run(services, options)
    except (CompositionError, PacktrainError, TimeoutError) as error:
        faults = [str(error)]
        say(f"FAULT: {error}")
    finally:
        if options.logs:
            services.write_logs(options.logs)
        if not options.keep:
            say("removing all that was started ...")
            services.down()
    say(f"{len(faults)} things did not hold" if faults else "all held")
    return 1 if faults else 0


def _run(services: Composition, options: argparse.Namespace) -> list[str]:
    say(f"starting {options.replicas} replicas, {options.ray_workers} Ray workers ...")
    services.down()
    services.up()
    services.wait_healthy(HEALTHY_SECONDS)
    say(f"all healthy: {', '.join(services.containers())}; {services.published_ports()}")
    with Client(services.address, retry=RETRY) as client:
        endurance = Endurance(services, client, options.epochs, options.outage)
        endurance.check_ports()
        endurance.run_undisturbed()
        for kind in options.rounds:
            for container in services.containers():
                if options.only in container and endurance.applies(kind, container):
                    endurance.disturb(kind, container)
        endurance.check_jobs()
    return endurance.faults


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.compose", description=__doc__)
    parser.add_argument("--rounds", nargs="+", choices=ROUNDS, default=list(ROUNDS))
    parser.add_argument("--only", default="", metavar="NAME", help="only containers named so")
    parser.add_argument("--ray-workers", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=1000, help="of the job that is disturbed")
    parser.add_argument(
        "--outage", type=float, default=10.0, help="seconds that a killed container is away"
    )
    parser.add_argument("--no-build", action="store_true", help="the image is there")
    parser.add_argument("--keep", action="store_true", help="leave the services running")
    parser.add_argument("--logs", type=Path, help="where the containers' output is written")
    return parser.parse_args()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
