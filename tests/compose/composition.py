"""The services of docker-compose.yml as a project of its own: started, killed, removed."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = "packtrain-compose-test"
IMAGE = "packtrain:local"


class CompositionError(Exception):
    """Docker can't do what is needed: one sentence, and Docker's own last words."""


class Composition:
    """One run of the services; ``port`` of 127.0.0.1 is the only one that is published."""

    def __init__(self, port: int, ray_workers: int, replicas: int) -> None:
        self._scales = {"ray-worker": ray_workers, "packtrain": replicas}
        self.address = f"127.0.0.1:{port}"
        self._environment = {
            **os.environ,
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "POSTGRES_PASSWORD": secrets.token_hex(32),
            "PACKTRAIN_PUBLISH": self.address,
            "COMPOSE_PROJECT_NAME": PROJECT,
        }
        self._compose = _compose_command()

    def up(self) -> None:
        """Start all services. They take a while to be healthy."""
        scales = [f"--scale={service}={number}" for service, number in self._scales.items()]
        self._run(*self._compose, "up", "--detach", "--no-build", *scales)

    def down(self) -> None:
        """Remove all that :meth:`up` made, volumes too."""
        self._run(*self._compose, "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def containers(self) -> list[str]:
        """Names of all containers, by service and number."""
        wanted = f"label=com.docker.compose.project={PROJECT}"
        names = self._run("docker", "ps", "--all", "--filter", wanted, "--format", "{{.Names}}")
        return sorted(names.split())

    def service_of(self, container: str) -> str:
        """The service that a container is one of."""
        return self._inspect(container, '{{index .Config.Labels "com.docker.compose.service"}}')

    def is_healthy(self, container: str) -> bool:
        """Whether it runs, and its own check says that it works."""
        health = "{{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}"
        return self._inspect(container, "{{.State.Status}} " + health) == "running healthy"

    def wait_healthy(self, seconds: float) -> None:
        """Return when every container is. Raises CompositionError with those that are not."""
        deadline = time.monotonic() + seconds
        while sick := [name for name in self.containers() if not self.is_healthy(name)]:
            if time.monotonic() > deadline:
                raise CompositionError(f"not healthy after {seconds:.0f} s: {', '.join(sick)}")
            time.sleep(0.5)

    def kill(self, container: str) -> None:
        """`docker kill`: whoever says so means it, and the restart policy holds still."""
        self._run("docker", "kill", container)

    def start(self, container: str) -> None:
        """Bring a container back that was killed."""
        self._run("docker", "start", container)

    def crash(self, container: str) -> None:
        """Kill all processes from within: the restart policy has to bring it back."""
        before = self.starts(container)
        subprocess.run(
            ["docker", "exec", container, "bash", "-c", "kill -9 -1"],
            capture_output=True, check=False,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while self.starts(container) == before:
            if time.monotonic() > deadline:
                raise CompositionError(f"{container} was not started again within 60 s")
            time.sleep(0.1)

    def starts(self, container: str) -> str:
        """When it was started last."""
        return self._inspect(container, "{{.State.StartedAt}}")

    def stop(self, container: str) -> int:
        """SIGTERM; the exit status (137: it had to be killed)."""
        self._run("docker", "stop", "--time", "30", container)
        return int(self._inspect(container, "{{.State.ExitCode}}"))

    def published_ports(self) -> dict[str, str]:
        """What is open on this machine, by container."""
        found = {name: self._run("docker", "port", name).strip() for name in self.containers()}
        return {name: ports for name, ports in found.items() if ports}

    def write_logs(self, path: Path) -> None:
        """All that the containers printed, for whoever looks for the cause."""
        path.write_text(self._run(*self._compose, "logs", "--no-color", "--timestamps"))

    def _inspect(self, container: str, template: str) -> str:
        return self._run("docker", "inspect", "--format", template, container).strip()

    def _run(self, *command: str) -> str:
        return _run(command, self._environment)


def build_image() -> None:
    """Build the service's image with the package index that pip uses on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["docker", "build", "--quiet", "--network", "host", "--tag", IMAGE]
        for name, path in _pip_secrets(Path(folder)).items():
            command += ["--secret", f"id={name},src={path}"]
        _run([*command, "."], {**os.environ, "DOCKER_BUILDKIT": "1"})


def _pip_secrets(folder: Path) -> dict[str, Path]:
    # As `global.index-url='https://...'`, or `:env:.cert=...` where a variable says so.
    listed = _run([sys.executable, "-m", "pip", "config", "list"], os.environ)
    settings = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip("'\"")
    kept = {
        name: value
        for name, value in settings.items()
        if name in ("index-url", "extra-index-url", "trusted-host") and "file:" not in value
    }
    found = {}
    if "cert" in settings:
        found["certificates"] = folder / "certificates"
        shutil.copy(settings["cert"], found["certificates"])
        kept["cert"] = "/run/secrets/certificates"
    found["pip.conf"] = folder / "pip.conf"
    lines = ["[global]", *(f"{name} = {value}" for name, value in kept.items())]
    found["pip.conf"].write_text("\n".join(lines) + "\n")
    return found


def _compose_command() -> tuple[str, ...]:
    for command in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    raise CompositionError(
        "Docker Compose is not installed: on Debian, `apt install docker.io docker-compose`"
    )


def _run(command: tuple[str, ...] | list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last_words = (done.stderr or done.stdout).strip()[-2000:]
        raise CompositionError(f"`{' '.join(command[:3])}` failed: {last_words}")
    return done.stdout
