"""Files of one's own: specifications, arrays, MNIST from a mirror, plots."""

from __future__ import annotations

import hashlib
import http.server
import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packtrain.client import MissingExtra, Model, Results, SpecError, mnist
from packtrain.client.array_files import read_arrays
from packtrain.client.converters import spec_message
from packtrain.client.mnist import DownloadError, download_mnist
from packtrain.client.plotting import draw_results
from packtrain.client.spec_files import read_spec

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MNIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "mnist"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_scalars_are_those_of_json(tmp_path: Path) -> None:
    text = """
    dataset: {name: datasets/no}
    epochs: 010          # ten, not eight
    seed: 0
    optimizer: {sgd: {learning_rate: 1e-3, momentum: 5.E-1}}
    regularization: {l2: +.5, l1: 0, dropout: ~}
    measurement: {metrics: [off, 2020-01-01]}
    """
    spec = spec_message(read_spec(write(tmp_path / "s.yaml", text)))
    assert spec.dataset.name == "datasets/no"
    assert spec.epochs == 10
    assert (spec.optimizer.sgd.learning_rate, spec.optimizer.sgd.momentum) == (1e-3, 0.5)
    assert spec.regularization.l2 == 0.5
    assert not spec.regularization.HasField("dropout")
    assert list(spec.measurement.metrics) == ["off", "2020-01-01"]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
def test_the_examples_are_specifications(name: str) -> None:
    assert spec_message(read_spec(str(EXAMPLES / name))).dataset.WhichOneof("source")


def test_json_and_the_standard_input_are_read_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_spec(write(tmp_path / "s.json", '{\t"epochs": 3}')) == {"epochs": 3}
    monkeypatch.setattr(sys, "stdin", io.StringIO("epochs: 4"))
    assert read_spec("-") == {"epochs": 4}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("s.yaml", "epochs: [1", "line 1: expected"),
        ("s.yaml", "epochs: 1\nepochs: 2", "line 2: the field epochs is there twice"),
        ("s.yaml", "1: 2", "line 1: expected a field's name, not 1"),
        ("s.yaml", "", "expected a mapping of fields, not nothing"),
        ("s.yaml", "- 1", r"expected a mapping of fields, not \[1\]"),
        ("s.yaml", "a: !!python/name:os.system x", "could not determine a constructor"),
        ("s.yaml", "a: *b", "found undefined alias"),
        ("s.json", '{"epochs": }', "line 1: Expecting value"),
        ("s.yaml", "epochs: yes", "epochs: expected a whole number, not 'yes'"),
        ("s.yaml", "epoch: 1", "did you mean epochs?"),
        ("s.yaml", "\0", "expected YAML"),
        ("s.yaml", "epochs: ' 7'", "epochs: expected a whole number, not ' 7'"),
        ("s.yaml", "epochs: '1_0'", "epochs: expected a whole number, not '1_0'"),
        (
            "s.yaml",
            "search: {parameters: [{choice: {values: [1, !!binary aGk=]}}]}",
            r"search.parameters\[0\].choice.values\[1\]: expected a number, a text, .* not b'hi'",
        ),
        (
            "s.yaml",
            "search: {parameters: [{choice: {values: [{adam: {beta1: [.nan]}}]}}]}",
            r"choice.values\[0\].adam.beta1\[0\]: expected a finite number, not nan",
        ),
    ],
)
def test_what_is_no_specification_is_told(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(SpecError, match=f"{name} is not a specification: .*{told}"):
        read_spec(path)


def test_bytes_are_no_specification(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match="expected text in UTF-8"):
        read_spec(str(tmp_path / "s.yaml"))


def test_arrays_of_npy_and_npz(tmp_path: Path) -> None:
    x, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    splits = read_arrays([tmp_path / "x.npy", tmp_path / "y.npy"])
    np.testing.assert_array_equal(splits["train"][0], x)
    assert splits["train"][1].dtype == np.int64
    for names in (("x", "y"), ("x_train", "y_train")):
        held = dict(zip(names, (x, y), strict=True))
        np.savez(tmp_path / "d.npz", **held, x_test=x[:1], y_test=y[:1])
        splits = read_arrays([tmp_path / "d.npz"])
        assert {name: len(a) for name, (a, _) in splits.items()} == {"train": 3, "test": 1}


def test_arrays_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("\ufeffa,b,kind\n1,2,0\n3,4.5,2\n\n")
    x, y = read_arrays([path])["train"]
    np.testing.assert_array_equal(x, [[1, 2], [3, 4.5]])
    np.testing.assert_array_equal(y, [0, 2])
    assert y.dtype == np.int64
    assert read_arrays([path], regression=True)["train"][1].dtype == np.float64
    x, y = read_arrays([path], target="b")["train"]
    np.testing.assert_array_equal(y, [2, 4.5])
    np.testing.assert_array_equal(x, [[1, 0], [3, 2]])
    path.write_text("7,1\n8,2\n")
    np.testing.assert_array_equal(read_arrays([path], target="0")["train"][1], [7, 8])


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        (
            "a,b\n1,x\n",
            None,
            r"line 2: column 'b' holds text \('x'\): classes must be whole numbers from 0",
        ),
        ("b,a\nx,1\n", "b", "column 'b' holds text .'x'.: classes must be"),
        ("b,a\nx,1\n", None, "column 'b' holds text .'x'.: inputs must be numbers"),
        ("a,b\n1,\n", None, "column 'b' is empty"),
        ("1,2\n1\n", None, "line 2: expected 2 numbers"),
        ("a,b\n\n1,2\n\n3\n", None, "line 5: expected 2 numbers"),
        ("a,b\n\n1,nan\n", None, "line 3: holds a number that is not finite"),
        ("a,b\n", None, "found none"),
        ("", None, "found none"),
        ("1\n2\n", None, "a column of targets beside"),
        ("a,b\n1,2\n", "c", "expected one of a, b or a number of 0 to 1"),
    ],
)
def test_a_wrong_csv_is_told(tmp_path: Path, text: str, target: str | None, told: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(ValueError, match=told):
        read_arrays([tmp_path / "d.csv"], target=target)


def test_a_number_beyond_every_integer_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("a,b,c\n1,2,0\n3,4,1e39\n")
    with pytest.raises(ValueError, match=r"1e\+39, which is no class label: --regression"):
        read_arrays([path])
    assert read_arrays([path], regression=True)["train"][1].tolist() == [0, 1e39]


def test_wrong_array_files_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", a=np.eye(2))
    with pytest.raises(ValueError, match="expected arrays x and y, not a"):
        read_arrays([tmp_path / "d.npz"])
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04nothing")
    with pytest.raises(ValueError, match="expected arrays as NumPy saves them"):
        read_arrays([tmp_path / "bad.npz"])
    np.savez(tmp_path / "o.npz", x=np.array([{}]), y=np.array([1]))
    with pytest.raises(ValueError, match="expected arrays as NumPy saves them"):
        read_arrays([tmp_path / "o.npz"])
    with pytest.raises(ValueError, match=r"one .npz or one .csv, not .txt"):
        read_arrays([tmp_path / "a.txt"])


CONTENT = {name: name.encode() * 1000 for name in mnist.FILES}


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    """A local mirror: its URL, the files that it serves (by path), the paths asked for."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    monkeypatch.setattr(mnist, "FILES", digests)
    served = {f"/good/{name}": content for name, content in CONTENT.items()}
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = served.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", served, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_mnist_is_fetched_once(tmp_path: Path, mirror: Any) -> None:
    url, _, asked = mirror
    folder = tmp_path / "new" / "mnist"
    assert [fetched for _, fetched in download_mnist(folder, [f"{url}/good/"])] == [True] * 4
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert [fetched for _, fetched in download_mnist(folder, [f"{url}/good"])] == [False] * 4
    assert len(asked) == 4
    damaged = folder / next(iter(CONTENT))
    damaged.write_bytes(b"damaged")
    assert [fetched for _, fetched in download_mnist(folder, [f"{url}/good"])].count(True) == 1
    assert damaged.read_bytes() == CONTENT[damaged.name]


def test_the_next_mirror_stands_in(tmp_path: Path, mirror: Any) -> None:
    url, served, asked = mirror
    served |= {f"/bad/{name}": b"something else" for name in CONTENT}
    list(download_mnist(tmp_path, [f"{url}/missing", f"{url}/bad", f"{url}/good"]))
    assert {path.name for path in tmp_path.iterdir()} == set(CONTENT)
    assert len(asked) == 12


def test_a_wrong_checksum_leaves_nothing_behind(tmp_path: Path, mirror: Any) -> None:
    url, served, _ = mirror
    served |= {f"/bad/{name}": b"something else" for name in CONTENT}
    with pytest.raises(DownloadError, match=r"expected the SHA-256 .*HTTP Error 404"):
        list(download_mnist(tmp_path, [f"{url}/bad", f"{url}/missing"]))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DownloadError, match="expected a URL of http or https"):
        list(download_mnist(tmp_path, ["file:///etc"]))


@pytest.mark.skipif(not MNIST.exists(), reason="MNIST is not beside the checkout")
def test_the_checksums_are_those_of_mnist() -> None:
    for name, digest in mnist.FILES.items():
        assert hashlib.sha256((MNIST / name).read_bytes()).hexdigest() == digest


def results(trials: int, metrics: tuple[str, ...]) -> Results:
    values = np.random.default_rng(0).random((trials, 5, len(metrics))).astype(np.float32)
    values[0, 3:] = np.nan
    values[-1, ::2] = np.inf
    return Results(trials=tuple(range(trials)), metrics=metrics, values=values)


@pytest.mark.parametrize("trials", [1, 3, 30])
def test_a_plot_is_a_png(tmp_path: Path, trials: int) -> None:
    pytest.importorskip("matplotlib")
    metrics = ("training_cost", "validation_cost", "validation_accuracy", "weight_norm/1")
    values = {0: {"optimizer.sgd.learning_rate": 0.5, "cost": {"quadratic": {}}, "seed": [1]}}
    draw_results(results(trials, metrics), tmp_path / "p.png", title="t", parameters=values)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_extra_says_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("matplotlib", "matplotlib.figure", "pandas"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"pip install 'packtrain\[plot\]'"):
        draw_results(results(1, ("m",)), tmp_path / "p.png")
    with pytest.raises(MissingExtra, match=r"pip install 'packtrain\[pandas\]'"):
        results(1, ("m",)).to_frame()


def test_objects_full_of_numbers_have_short_representations() -> None:
    network = Model(
        weights=(np.zeros((64, 30)), np.zeros((30, 10))),
        biases=(np.zeros(30), np.zeros(10)),
        hidden_activation="sigmoid",
        output_activation="softmax",
        bytes=bytes(18_000),
    )
    assert repr(network) == (
        "Model(layers=[64, 30, 10], hidden_activation='sigmoid', "
        "output_activation='softmax', 18000 bytes)"
    )
    assert repr(results(3, ("m",))) == "Results(3 trials, 5 epochs, metrics=['m'])"
