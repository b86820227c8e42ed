"""`make reproduce` where the data are not there."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.client.conftest import FakeServer, Refusal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.stop()


def test_without_mnist_it_says_how_to_get_it_and_keeps_the_page(
    fake: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    program: Any = importlib.import_module("benchmarks.reproduce.__main__")
    offered: list[Path] = []

    def local_server(data_dir: Path, datasets: list[Path]) -> Any:
        offered.extend(datasets)
        return contextlib.nullcontext(fake.target)

    monkeypatch.setattr(program, "local_server", local_server)
    fake.script("GetDataset", Refusal(grpc.StatusCode.NOT_FOUND, "There is no such dataset."))
    page = tmp_path / "page.md"
    page.write_text("as it was")
    options = ["--only", "3", "--datasets", str(tmp_path), "--markdown", str(page)]
    monkeypatch.setattr("sys.argv", ["reproduce", *options])
    assert program.main() == 1
    assert offered == [tmp_path]
    said = capsys.readouterr().err
    assert "experiment 3 needs MNIST" in said
    assert "packtrain datasets download mnist" in said
    assert page.read_text() == "as it was"
