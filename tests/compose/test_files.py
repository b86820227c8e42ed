"""What docker-compose.yml and its proxy must keep to, as far as it shows without Docker."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer

ROOT = Path(__file__).parents[2]
PROXY = (ROOT / "deploy" / "haproxy.cfg").read_text()


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_only_the_proxy_publishes_a_port(composition: dict[str, Any]) -> None:
    services = composition["services"]
    assert [name for name, service in services.items() if service.get("ports")] == ["proxy"]
    assert services["proxy"]["ports"] == ["${PACKTRAIN_PUBLISH:-127.0.0.1:50051}:50051"]


def test_every_service_is_watched_restarted_and_without_privileges(
    composition: dict[str, Any],
) -> None:
    for name, service in composition["services"].items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name


def test_ray_and_the_database_have_no_way_out_and_none_to_each_other(
    composition: dict[str, Any],
) -> None:
    networks, services = composition["networks"], composition["services"]
    assert networks["ray"] == networks["store"] == {"internal": True}
    assert services["postgres"]["networks"] == ["store"]
    for name in ("ray-head", "ray-worker"):
        assert services[name]["networks"] == ["ray"]
        assert services[name]["environment"]["RAY_AUTH_MODE"] == "token"


def test_the_service_waits_for_its_store_alone(composition: dict[str, Any]) -> None:
    """It serves while Ray's head is away, from the start."""
    assert list(composition["services"]["packtrain"]["depends_on"]) == ["postgres"]


def test_the_stand_ins_are_for_the_images_that_are_used(composition: dict[str, Any]) -> None:
    images = {service["image"] for service in composition["services"].values()}
    base = re.search(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    made = re.findall(
        r"^build (\S+)", (ROOT / "tests/compose/stand-ins/make").read_text(), re.MULTILINE
    )
    assert set(made) == images - {"packtrain:local"} | {base[1]}


@pytest.fixture
def health() -> Iterator[tuple[HealthServicer, int]]:
    servicer = HealthServicer()
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, port
    server.stop(None).wait()


@pytest.mark.parametrize(("status", "is_healthy"), [("SERVING", True), ("NOT_SERVING", False)])
def test_the_proxy_asks_for_health_as_grpc_does(
    health: tuple[HealthServicer, int], status: str, is_healthy: bool
) -> None:
    servicer, port = health
    servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    sent = bytes.fromhex("".join(re.findall(r"tcp-check send-binary (\w+)", PROXY)))
    (expected,) = re.findall(r"tcp-check expect binary (\w+)", PROXY)
    answered = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
        while b"grpc-status" not in answered:  # the trailers, which come last
            part = connection.recv(4096)
            assert part, answered
            answered += part
    assert (bytes.fromhex(expected) in answered) is is_healthy
