"""A client of another service: generated from the proto files alone, without our packages."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from packtrain.v1 import training_service_pb2

PROTO = Path(__file__).resolve().parents[2] / "proto"

# Isolated (-I) and without site (-S): no .pth file brings an editable installation of ours back.
PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import grpc
from packtrain.v1 import dataset_service_pb2_grpc, server_service_pb2_grpc
from packtrain.v1 import spec_pb2, training_service_pb2 as pb, training_service_pb2_grpc

spec = spec_pb2.JobSpec(epochs=0, seed=2**64 - 1)
spec.dataset.name = "datasets/digits"
spec.network.hidden[:] = [30]
spec.cost.cross_entropy.SetInParent()
rate = spec.search.parameters.add(path="optimizer.sgd.learning_rate")
rate.log_uniform.low, rate.log_uniform.high = 0.01, 10
spec.search.random.trials = 8

with grpc.insecure_channel("127.0.0.1:1") as channel:
    stub = training_service_pb2_grpc.TrainingServiceStub(channel)
    dataset_service_pb2_grpc.DatasetServiceStub(channel)
    server_service_pb2_grpc.ServerServiceStub(channel)
    try:
        stub.CreateJob(pb.CreateJobRequest(spec=spec), timeout=5)
    except grpc.RpcError as error:
        code = error.code().name

print(json.dumps({
    "request": pb.CreateJobRequest(job_id="mine", spec=spec).SerializeToString().hex(),
    "methods": sorted(name for name in vars(stub) if not name.startswith("_")),
    "ours": sorted({m.__file__ for n, m in sys.modules.items()
                    if n.startswith("packtrain") and getattr(m, "__file__", None)}),
    "code": code,
}))
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    protos = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *protos]
    subprocess.run(command, check=True, cwd=PROTO)
    return folder


def test_a_client_from_the_protos_alone_builds_our_requests(generated: Path) -> None:
    paths = [str(generated), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, json.dumps(paths)]
    environment = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=generated, env=environment
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["ours"], "the program imported nothing"
    assert all(Path(path).is_relative_to(generated) for path in told["ours"])
    assert told["code"] == "UNAVAILABLE"
    service = training_service_pb2.DESCRIPTOR.services_by_name["TrainingService"]
    assert told["methods"] == sorted(service.methods_by_name)

    request = training_service_pb2.CreateJobRequest.FromString(bytes.fromhex(told["request"]))
    assert request.job_id == "mine"
    assert request.spec.seed == 2**64 - 1
    assert request.spec.HasField("epochs")
    assert request.spec.epochs == 0  # zero that was said is not zero that was left out
    assert not request.spec.HasField("batch_size")
    assert request.spec.cost.WhichOneof("kind") == "cross_entropy"
    assert request.spec.search.parameters[0].log_uniform.high == 10
