"""The manifests for KubeRay: whole, of one piece with each other, and of options that there are."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from packtrain.service.__main__ import app

FOLDER = Path(__file__).parents[2] / "deploy" / "kuberay"
GROUPS = {
    "RayCluster": "ray.io/v1",
    "PersistentVolumeClaim": "v1",
    "Deployment": "apps/v1",
    "Service": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
}


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    """Each of its kind once."""
    texts = [path.read_text() for path in sorted(FOLDER.glob("*.yaml"))]
    found = [one for text in texts for one in yaml.safe_load_all(text)]
    assert sorted(one["kind"] for one in found) == sorted(GROUPS)
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def pods(objects: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Templates by the name of their only container."""
    ray = objects["RayCluster"]["spec"]
    templates = [
        objects["Deployment"]["spec"]["template"],
        ray["headGroupSpec"]["template"],
        *(group["template"] for group in ray["workerGroupSpecs"]),
    ]
    return {template["spec"]["containers"][0]["name"]: template for template in templates}


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from walk(part)


def test_kinds_and_versions(objects: dict[str, dict[str, Any]]) -> None:
    for kind, one in objects.items():
        assert one["apiVersion"] == GROUPS[kind]
        assert one["metadata"]["name"].startswith("packtrain")
    assert objects["RayCluster"]["spec"]["rayVersion"] == version("ray")


def test_one_image_and_the_same_token_everywhere(pods: dict[str, dict[str, Any]]) -> None:
    containers = [pod["spec"]["containers"][0] for pod in pods.values()]
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        env = {entry["name"]: entry for entry in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        reference = env["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "packtrain", "key": "ray-auth-token"}


def test_nodes_miss_a_lost_head_as_soon_as_in_compose(pods: dict[str, dict[str, Any]]) -> None:
    text = (FOLDER.parents[1] / "docker-compose.yml").read_text()
    ray = yaml.safe_load(text)["x-ray"]
    expected = {k: v for k, v in ray.items() if k.startswith(("RAY_gcs_", "RAY_raylet_"))}
    assert len(expected) == 2
    for pod in pods.values():
        env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
        assert expected.items() <= env.items()


def test_secrets_are_those_that_the_documentation_makes(objects: dict[str, dict[str, Any]]) -> None:
    used = {
        (part["secretKeyRef"]["name"], part["secretKeyRef"]["key"])
        for part in walk(list(objects.values()))
        if "secretKeyRef" in part
    }
    assert used == {("packtrain", "ray-auth-token"), ("packtrain", "database-url")}
    text = (FOLDER.parents[1] / "docs" / "cluster.md").read_text()
    assert "create secret generic packtrain" in text
    for _, key in used:
        assert f"--from-literal={key}=" in text


def test_volumes_are_there(
    objects: dict[str, dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    for pod in pods.values():
        spec = pod["spec"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {m["name"] for m in spec["containers"][0]["volumeMounts"]} == volumes
    claims = {v["claimName"] for v in (p.get("persistentVolumeClaim") for p in walk(pods)) if v}
    assert claims == {objects["PersistentVolumeClaim"]["metadata"]["name"]}
    # Two replicas write to it, on two machines maybe.
    assert objects["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]


def test_labels_and_names_meet(
    objects: dict[str, dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    labels = pods["packtrain"]["metadata"]["labels"]
    for selector in (
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
    ):
        assert selector.items() <= labels.items()
    inside = objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]
    assert all(inside.items() <= pod["metadata"]["labels"].items() for pod in pods.values())
    env = {e["name"]: e for e in pods["packtrain"]["spec"]["containers"][0]["env"]}
    name = objects["RayCluster"]["metadata"]["name"]
    # So KubeRay names the head's service.
    assert env["RAY_HEAD_ADDRESS"]["value"] == f"{name}-head-svc:6379"


def test_the_service_is_started_with_options_that_there_are(
    pods: dict[str, dict[str, Any]], objects: dict[str, dict[str, Any]]
) -> None:
    container = pods["packtrain"]["spec"]["containers"][0]
    script = Path(container["command"][0]).relative_to("/opt/packtrain")
    assert (FOLDER.parents[1] / script).is_file()
    parameters = typer.main.get_command(app).params
    known = {option for parameter in parameters for option in parameter.opts}
    given = dict(zip(container["args"][::2], container["args"][1::2], strict=True))
    assert given.keys() <= known
    variables = {parameter.envvar for parameter in parameters}
    assert "PACKTRAIN_STORE" in variables
    (group,) = objects["RayCluster"]["spec"]["workerGroupSpecs"]
    cpus = int(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert int(given["--max-workers"]) == group["maxReplicas"] * cpus
    port = int(given["--listen"].rpartition(":")[2])
    probes = [container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["grpc"]["port"] for probe in probes} == {port}
    assert {p["containerPort"] for p in container["ports"]} == {port}
    (ours,) = objects["Service"]["spec"]["ports"]
    assert (ours["port"], ours["targetPort"]) == (port, container["ports"][0]["name"])


def test_there_is_time_to_stop_and_nobody_is_root(pods: dict[str, dict[str, Any]]) -> None:
    assert pods["packtrain"]["spec"]["terminationGracePeriodSeconds"] > 30
    for pod in pods.values():
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        # The store of Ray's objects fits into the pod's shared memory.
        sizes = [v["emptyDir"]["sizeLimit"] for v in pod["spec"]["volumes"] if "emptyDir" in v]
        assert all(size.endswith("Mi") for size in sizes)
