"""Generates the Python code of the contract from its proto files.

``python scripts/generate.py`` writes it beside the proto files; ``--check`` writes nothing and
fails where what is committed differs from what the proto files say.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PROTO_ROOT = Path(__file__).resolve().parent.parent / "proto"
GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py")


def generate(proto_root: Path, target: Path) -> None:
    """Write the code of every proto file under ``proto_root`` into ``target``."""
    protos = sorted(path.relative_to(proto_root) for path in proto_root.rglob("*.proto"))
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{proto_root}", *outputs]
    subprocess.run([*command, *map(str, protos)], check=True, cwd=proto_root)


def generated_files(root: Path) -> dict[Path, bytes]:
    """Return the content of every generated file under ``root``, by its path below it."""
    paths = (path for pattern in GENERATED for path in root.rglob(pattern))
    return {path.relative_to(root): path.read_bytes() for path in paths}


def differences(committed: dict[Path, bytes], expected: dict[Path, bytes]) -> list[str]:
    """Return a sentence for every file that is missing, stale or left over."""
    found = []
    for path in sorted(committed.keys() | expected.keys()):
        if path not in committed:
            found.append(f"proto/{path} is missing.")
        elif path not in expected:
            found.append(f"proto/{path} is left over: no proto file yields it.")
        elif committed[path] != expected[path]:
            found.append(f"proto/{path} differs from what its proto file yields.")
    return found


def write(committed: dict[Path, bytes], expected: dict[Path, bytes]) -> None:
    """Make the generated files of the tree those that are expected."""
    for path in committed.keys() - expected.keys():
        (PROTO_ROOT / path).unlink()
    for path, content in expected.items():
        if committed.get(path) != content:
            (PROTO_ROOT / path).write_bytes(content)


def main() -> int:
    """Generate, or compare with ``--check``; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate the contract's code from proto/.")
    parser.add_argument("--check", action="store_true", help="compare only; fail on a difference")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            generate(PROTO_ROOT, Path(folder))
        except subprocess.CalledProcessError as error:
            return int(error.returncode)  # protoc has said why
        expected = generated_files(Path(folder))
    committed = generated_files(PROTO_ROOT)
    if not arguments.check:
        write(committed, expected)
        return 0
    found = differences(committed, expected)
    if found:
        sys.stderr.write("\n".join([*found, "Run `make generate` and commit the result.", ""]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
