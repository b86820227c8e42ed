"""Whoever uses the trainer as a library reads its docstrings: what they must say is said."""

from __future__ import annotations

import inspect
import re
import typing

import numpy as np
import pytest

import packtrain.training as training
from packtrain.training import DataError, PackError

PUBLIC = [
    getattr(training, name)
    for name in training.__all__
    if inspect.isfunction(getattr(training, name)) or inspect.isclass(getattr(training, name))
]
FUNCTIONS = [thing for thing in PUBLIC if inspect.isfunction(thing)]
# "(K,)", "(n_in, n_out)", "(rows, columns)": a shape, not a remark.
SHAPE = re.compile(r"\(\w+,\)|\(\w+(, \w+)+\)")


def is_array(annotation: object) -> bool:
    parts = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    return origin is np.ndarray or any(is_array(part) for part in parts)


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_everything_public_says_what_it_is(thing):
    said = thing.__doc__ or ""
    assert re.match(r"[A-Z0-9`(].*\.", said, re.DOTALL), said


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_every_array_has_its_shape(thing):
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return
    hints = typing.get_type_hints(thing) if inspect.isfunction(thing) else {}
    if inspect.isclass(thing):
        hints = typing.get_type_hints(thing, vars(inspect.getmodule(thing)))
    if any(is_array(hint) for hint in hints.values()):
        assert SHAPE.search(thing.__doc__), f"{thing.__name__} gives no shape"


@pytest.mark.parametrize("thing", FUNCTIONS, ids=lambda thing: thing.__name__)
def test_refusals_are_announced(thing):
    source = inspect.getsource(thing)
    for error in (PackError, DataError, KeyError):
        if f"raise {error.__name__}" in source:
            assert error.__name__ in thing.__doc__


@pytest.mark.parametrize("name", training.NUMBERS)
def test_every_number_says_its_range_and_its_default_lies_in_it(name):
    number = training.NUMBERS[name]
    assert number.description
    assert number.at_least is not None or number.above is not None
    assert number.at_least is None or number.default >= number.at_least
    assert number.above is None or number.default > number.above
    assert number.below is None or number.default < number.below


@pytest.mark.parametrize(
    "formula",
    [training.He, training.Xavier, training.LeCun, training.Orthogonal, training.OneCycle],
    ids=lambda thing: thing.__name__,
)
def test_formulas_cite_their_source(formula):
    assert re.search(r"\b(19|20)\d\d\b|Nielsen", formula.__doc__)
