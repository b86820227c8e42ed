"""Whether a signature makes sense by itself: layers, activations, sizes, data type."""

from __future__ import annotations

from packtrain.training.activations import OUTPUT_ONLY
from packtrain.training.refusals import (
    PackError,
    is_whole,
    require_kind,
    require_known,
    require_whole,
    show,
)
from packtrain.training.spec import Activation, Signature


def check_signature(signature: Signature) -> None:
    """Raise :class:`PackError` for the first thing that is wrong with the networks' shape."""
    _check_sizes(signature.sizes)
    for name in ("hidden_activation", "output_activation"):
        value = getattr(signature, name)
        example = "an Activation, such as Activation.SIGMOID"
        require_kind(f"signature.{name}", value, Activation, example)
    if signature.hidden_activation in OUTPUT_ONLY:
        raise PackError(
            "signature.hidden_activation", f"{signature.hidden_activation} is for outputs only."
        )
    if signature.output_activation is Activation.SOFTMAX and signature.sizes[-1] == 1:
        raise PackError("signature.sizes", "softmax needs two outputs or more, got 1.")
    require_known(
        "signature.data_type",
        signature.data_type,
        ("float32", "float64"),
        "'float32' or 'float64'",
    )
    for name in ("batch_size", "epochs", "measure_every"):
        require_whole(f"signature.{name}", getattr(signature, name), at_least=1)


def _check_sizes(sizes: object) -> None:
    field = "signature.sizes"
    require_kind(field, sizes, tuple, "a tuple of the layers' widths")
    assert isinstance(sizes, tuple)
    if len(sizes) < 2 or not all(is_whole(size) and size >= 1 for size in sizes):
        raise PackError(field, f"expected two or more whole numbers from 1, got {show(sizes)}.")
