"""Filters of trials: a small part of AIP-160, as the contract's ``ListTrialsRequest`` has it.

expression = group { "AND" group } | group { "OR" group }
group      = [ "NOT" ] ( "(" expression ")" | comparison )
comparison = FIELD ":" "*" | FIELD ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) VALUE
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from packtrain.service.errors import InvalidSpecError, Violation
from packtrain.service.results.columns import Column, Numbers, TrialColumns, Words, unknown_field

# Parentheses and NOTs within each other: each is a call of a function.
MOST_NESTED = 50
MOST_CHARACTERS = 10_000

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<operator>!=|<=|>=|[=<>:])"""
    r"""|(?P<bracket>[()])|(?P<word>[\w.+\-/*]+)|(?P<other>.))""",
    re.DOTALL,
)
_WORDS = ("AND", "OR", "NOT")

Mask = NDArray[np.bool_]


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def matching_rows(text: str, columns: TrialColumns) -> Mask:
    """Which trials the filter is true of, (trials,); all where it is empty.

    Raises InvalidSpecError, which says where the filter is wrong and what was expected there.
    """
    if len(text) > MOST_CHARACTERS:
        wrong = f"must be at most {MOST_CHARACTERS:,} characters, not {len(text):,}"
        raise InvalidSpecError.of([Violation("filter", wrong)])
    if not text.strip():
        return np.ones(len(columns.states), bool)
    return _Parser(text, columns).parse()


class _Parser:
    """Reads a filter from left to right, and computes what it means on the way."""

    def __init__(self, text: str, columns: TrialColumns) -> None:
        self._columns = columns
        self._tokens = [
            _Token(str(m.lastgroup), m.group(str(m.lastgroup)), m.start(str(m.lastgroup)))
            for m in _TOKEN.finditer(text.rstrip())
        ]
        self._tokens.append(_Token("end", "its end", len(text.rstrip())))
        self._at = 0
        self._depth = 0

    def parse(self) -> Mask:
        found = self._expression()
        if self._next.kind != "end":
            self._refuse("AND, OR or the end")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _refuse(self, expected: str, token: _Token | None = None) -> NoReturn:
        token = token or self._next
        found = token.text if token.kind == "end" else repr(token.text)
        _refuse_at(token.start, f"expected {expected}, not {found}")

    def _expression(self) -> Mask:
        found = self._group()
        joined = self._next
        while self._next.text in ("AND", "OR") and self._next.kind == "word":
            if self._next.text != joined.text:
                self._refuse(f"{joined.text}: AND and OR are mixed within parentheses only")
            self._take()
            other = self._group()
            found = found & other if joined.text == "AND" else found | other
        return found

    def _group(self) -> Mask:
        token = self._next
        self._depth += 1
        if self._depth > MOST_NESTED:
            self._refuse(f"at most {MOST_NESTED} groups within each other")
        if token.kind == "word" and token.text == "NOT":
            self._take()
            found = ~self._group()
        elif token.text == "(" and token.kind == "bracket":
            self._take()
            found = self._expression()
            if self._next.text != ")" or self._next.kind != "bracket":
                self._refuse("AND, OR or )")
            self._take()
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Mask:
        name = self._next
        if name.kind != "word" or name.text in _WORDS:
            self._refuse("a field, NOT or (")
        column = self._columns.find(name.text)
        if column is None:
            _refuse_at(name.start, unknown_field(name.text, self._columns.names()))
        self._take()
        if self._next.kind != "operator":
            self._refuse(f"one of {' '.join(_OPERATORS)} or :* after {name.text}")
        sign = self._take()
        value = self._next
        if sign.text == ":":
            if value.text != "*":
                self._refuse("* after :")
            self._take()
            return _has(column)
        if value.kind not in ("word", "text") or value.text in _WORDS:
            self._refuse(f"a value after {sign.text}")
        found = self._compare(name.text, column, sign, value)
        self._take()
        return found

    def _compare(self, name: str, column: Column, sign: _Token, value: _Token) -> Mask:
        compare = _OPERATORS[sign.text]
        if isinstance(column, Numbers):
            number = _to_number(value)
            if number is None:
                self._refuse(f"a number for {name}", value)
            # What is shown as 0.9 is to equal 0.9.
            wanted = np.float32(number) if column.values.dtype == np.float32 else number
            return np.asarray(compare(column.values, wanted) & _has(column))
        if sign.text not in ("=", "!="):
            self._refuse(f"= or != after {name}, which is no number", sign)
        word = _to_text(value)
        if name == "state" and word not in column.words:
            self._refuse(f"one of {', '.join(column.words)}", value)
        wanted_codes = [code for code, known in enumerate(column.words) if known == word]
        is_equal = np.isin(column.codes, wanted_codes)
        return np.asarray((is_equal if sign.text == "=" else ~is_equal) & _has(column))


def _has(column: Column) -> Mask:
    if isinstance(column, Words):
        return np.asarray(column.codes >= 0)
    return np.asarray(~np.isnan(column.values))


def _to_number(token: _Token) -> float | None:
    try:
        number = float(_to_text(token).replace("_", "x"))  # Python's own 1_000 is no number here
    except ValueError:
        return None
    return None if math.isnan(number) else number


def _to_text(token: _Token) -> str:
    return re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "text" else token.text


def _refuse_at(start: int, what: str) -> NoReturn:
    raise InvalidSpecError.of([Violation("filter", f"at character {start + 1}: {what}")])
