"""A trained network, read from the safetensors format.

The format (https://github.com/huggingface/safetensors#format) is eight bytes of a little-endian
length, a JSON header of that length with each tensor's type, shape and place, then the numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from packtrain.client.errors import ProtocolError

# Model.bytes hides the type of that name within its class.
FileContent: TypeAlias = bytes

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """The layers' arrays, first hidden layer first; ``bytes`` is the safetensors file.

    ``weights[l]`` is (n_in, n_out), ``biases[l]`` is (n_out,), both read-only. ``arithmetics`` are
    those of its trial (see :class:`Trial`).
    """

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    hidden_activation: str
    output_activation: str
    arithmetics: tuple[str, ...] = ()
    bytes: FileContent

    def __repr__(self) -> str:
        sizes = [len(w) for w in self.weights] + [len(b) for b in self.biases[-1:]]
        return (
            f"Model(layers={sizes}, hidden_activation={self.hidden_activation!r}, "
            f"output_activation={self.output_activation!r}, {len(self.bytes)} bytes)"
        )

    @classmethod
    def from_bytes(cls, content: FileContent) -> Model:
        """Read a safetensors file. Raises ProtocolError where it is not one of a network."""
        tensors, metadata = read_safetensors(content)
        layers = range(1, 1 + sum(name.endswith(".weights") for name in tensors))
        try:
            return cls(
                weights=tuple(tensors[f"layers.{layer}.weights"] for layer in layers),
                biases=tuple(tensors[f"layers.{layer}.biases"] for layer in layers),
                hidden_activation=metadata.get("hidden_activation", ""),
                output_activation=metadata.get("output_activation", ""),
                arithmetics=tuple(json.loads(metadata.get("arithmetics", "[]"))),
                bytes=content,
            )
        except KeyError as missing:
            raise ProtocolError(f"the model lacks the tensor {missing}") from None
        except ValueError:
            told = metadata["arithmetics"]
            raise ProtocolError(f"the model's arithmetics are no JSON: {told!r}") from None

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read a file that :meth:`save` wrote."""
        return cls.from_bytes(Path(path).read_bytes())

    def save(self, path: str | Path) -> None:
        """Write the safetensors file."""
        Path(path).write_bytes(self.bytes)

    def predict(self, inputs: ArrayLike) -> NDArray[Any]:
        """The outputs, (rows, outputs), for inputs of (rows, features)."""
        a = np.asarray(inputs, self.weights[0].dtype)
        if a.ndim != 2 or a.shape[1] != len(self.weights[0]):
            raise ValueError(
                f"inputs: expected the shape (rows, {len(self.weights[0])}), not {a.shape}"
            )
        last = len(self.weights) - 1
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            name = self.output_activation if layer == last else self.hidden_activation
            a = _activate(name, a @ w + b)
        return a


def _activate(name: str, z: NDArray[Any]) -> NDArray[Any]:
    match name.removeprefix("ACTIVATION_").lower():
        case "sigmoid":
            return np.asarray(np.exp(-np.logaddexp(z.dtype.type(0), -z)))
        case "tanh":
            return np.asarray(np.tanh(z))
        case "relu":
            return np.asarray(np.maximum(z, 0))
        case "softmax":
            e = np.exp(z - z.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))
        case "identity":
            return z
    raise ProtocolError(f"the model names the unknown activation {name!r}")


def read_safetensors(content: FileContent) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a safetensors file, and its metadata. Raises ProtocolError."""
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        data = memoryview(content)[8 + length :]
        return {name: _tensor(entry, data) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"the model is not a safetensors file: {error}") from None


def _tensor(entry: dict[str, Any], data: memoryview) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    flat = np.frombuffer(data[begin:end], np.dtype(_TYPES[entry["dtype"]]))
    return flat.reshape(entry["shape"])
