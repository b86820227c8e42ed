"""What is committed is what the proto files yield."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/generate.py", "--check"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def copy_of_contract(folder: Path) -> Path:
    for part in ("proto", "scripts"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "proto" / "packtrain" / "v1"


def test_committed_code_is_what_the_protos_yield() -> None:
    done = check(ROOT)
    assert done.returncode == 0, done.stderr


def test_every_kind_of_difference_is_told(tmp_path: Path) -> None:
    contract = copy_of_contract(tmp_path)
    with (contract / "job_pb2.py").open("a") as file:
        file.write("# edited by hand\n")
    (contract / "spec_pb2.pyi").unlink()
    (contract / "gone_service_pb2_grpc.py").write_text("")
    done = check(tmp_path)
    assert done.returncode == 1
    assert "job_pb2.py differs" in done.stderr
    assert "spec_pb2.pyi is missing" in done.stderr
    assert "gone_service_pb2_grpc.py is left over" in done.stderr


def test_generating_mends_what_the_check_found(tmp_path: Path) -> None:
    contract = copy_of_contract(tmp_path)
    (contract / "job_pb2.py").write_text("# emptied\n")
    (contract / "gone_service_pb2_grpc.py").write_text("")
    subprocess.run([sys.executable, "scripts/generate.py"], cwd=tmp_path, check=True)
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (contract / "gone_service_pb2_grpc.py").exists()


def test_a_broken_proto_fails(tmp_path: Path) -> None:
    contract = copy_of_contract(tmp_path)
    (contract / "job.proto").write_text('syntax = "proto3";\nmessage {\n')
    done = check(tmp_path)
    assert done.returncode != 0
    assert "job.proto:2" in done.stderr
