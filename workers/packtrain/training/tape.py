"""Records the NumPy calls of an epoch, so that the epochs after it need no Python between them.

A tiny network's epoch is some twenty calls on arrays that stay where they are: deciding which
calls to make costs more than making them. While an epoch is recorded, its arrays are
:class:`Watched`, an array type that NumPy hands each call to (NEP 13 and NEP 18): the call is
made, and noted with the memory that it reads and writes. Playing the tape makes the same calls
again, so that the numbers are those of the epoch itself, bit for bit.

What can't be played again makes the tape say so (``is_whole``), and it is not used: a number that
Python looked at, a write into an array that is not watched, a call whose result is not an array,
a method of arrays that nobody had a use for yet. NumPy tells nobody of ``np.asarray`` and of code
in other languages that is handed an array; what is taped must do without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, TypeVar
from weakref import ref

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Holder = TypeVar("Holder")


class Tape:
    """The calls of an epoch, in their order."""

    def __init__(self) -> None:
        self.is_whole = True
        self._calls: list[Callable[[], object]] = []
        self._watched: list[Array] = []
        self._views: dict[int, Watched] = {}

    def finish(self) -> None:
        """Nothing more is recorded: let go of what watches."""
        self._watched.clear()
        self._views.clear()

    def play(self) -> None:
        """Make all calls again."""
        for call in self._calls:
            call()

    def watch(self, array: Array) -> Watched:
        """A view of ``array`` whose calls are recorded."""
        watched = array.view(Watched)
        watched.recorder = ref(self)
        self._watched.append(array)
        return watched

    def watch_held(self, holder: Holder) -> Holder:
        """A copy of ``holder`` whose arrays, alone or in lists, are views that are watched."""
        seen = copy(holder)
        for name, value in vars(holder).items():
            if isinstance(value, np.ndarray):
                setattr(seen, name, self._view(value))
            elif isinstance(value, list) and all(isinstance(v, np.ndarray) for v in value):
                setattr(seen, name, [self._view(array) for array in value])
        return seen

    def _view(self, array: Array) -> Watched:
        # One view of each: a kernel may ask whether two of its arrays are the same.
        if id(array) not in self._views:
            self._views[id(array)] = self.watch(array)
        return self._views[id(array)]

    def note(self, call: Callable[[], object]) -> None:
        """Record a call that was made."""
        self._calls.append(call)

    def strip(self, value: Any) -> Any:
        """``value`` without what watches it, within tuples and lists too. That nobody watches is
        taken to be the same in every epoch: it must not lie in memory that is watched."""
        if isinstance(value, Watched):
            return strip(value)
        if isinstance(value, tuple | list):
            return type(value)(self.strip(part) for part in value)
        if isinstance(value, np.ndarray):
            lies_in = any(np.may_share_memory(value, array) for array in self._watched)
            self.is_whole &= not lies_in
        return value


def strip(array: Array) -> Array:
    """A view of ``array`` that nobody watches."""
    return array.view(np.ndarray)


class Watched(np.ndarray):
    """An array of which a tape takes note: all that is done with it, and with what comes of it."""

    # Weak, since a tape knows its arrays: a circle would keep a block's memory until Python looks
    # for circles.
    recorder: ref[Tape]

    @property
    def tape(self) -> Tape:
        """The tape that takes note; it lives as long as the recording."""
        tape = self.recorder()
        assert tape is not None, "an array is watched beyond its recording"
        return tape

    def __array_finalize__(self, parent: Any) -> None:
        if isinstance(parent, Watched):
            self.recorder = parent.recorder

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        tape, call = self.tape, getattr(ufunc, method)
        arguments = tape.strip(inputs)
        options = {name: tape.strip(value) for name, value in options.items()}
        if out is None:
            found = call(*arguments, **options)
            target = found
        else:
            tape.is_whole &= len(out) == 1 and isinstance(out[0], Watched)
            target = strip(out[0])
            found = call(*arguments, **options, out=target)
        if not isinstance(target, np.ndarray):
            tape.is_whole = False
            return found
        if method == "__call__" and not options:
            tape.note(partial(ufunc, *_settle(arguments, target.dtype), out=target))
        else:
            tape.note(partial(call, *arguments, **options, out=target))
        return tape.watch(found) if out is None else out[0]

    def __array_function__(
        self, func: Any, types: Any, args: Any, kwargs: Mapping[str, Any]
    ) -> Any:
        tape = self.tape
        arguments = tape.strip(tuple(args))
        options = {name: tape.strip(value) for name, value in kwargs.items()}
        call = partial(func, *arguments, **options)
        found = call()
        if found is None or kwargs.get("out") is not None:
            written = args[0] if found is None else kwargs["out"]
            tape.is_whole &= isinstance(written, Watched)
            tape.note(call)
            return written if found is not None else None
        if not isinstance(found, np.ndarray):
            tape.is_whole = False
            return found
        is_view = any(np.may_share_memory(found, a) for a in _arrays(arguments))
        if is_view:
            # Any other that shares memory has written into an argument, or may copy elsewhere.
            tape.is_whole &= func in _VIEWS
        elif func is not np.empty_like:
            tape.note(partial(_refill, found, call))
        return tape.watch(found)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return self._hold_to_view(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        target, whole = strip(self)[key], strip(self)
        if isinstance(target, np.ndarray) and np.may_share_memory(target, whole):
            np.copyto(self[key], value)
        else:
            self.tape.is_whole = False
            whole[key] = self.tape.strip(value)

    def astype(self, dtype: Any, *, copy: bool = True) -> Any:  # type: ignore[override]
        """As of an array: what it makes is made again."""
        if not copy and self.dtype == dtype:
            return self
        source = strip(self)
        made = source.astype(dtype)
        self.tape.note(partial(np.copyto, made, source, casting="unsafe"))
        return self.tape.watch(made)

    def copy(self) -> Any:  # type: ignore[override]
        """As of an array: what it makes is made again."""
        return self.astype(self.dtype)

    def reshape(self, *args: Any, **options: Any) -> Any:
        """As of an array, where it needs no copy."""
        return self._hold_to_view(super().reshape(*args, **options))

    def ravel(self, *args: Any, **options: Any) -> Any:
        """As of an array, where it needs no copy."""
        return self._hold_to_view(super().ravel(*args, **options))

    def _hold_to_view(self, found: Any) -> Any:
        is_view = isinstance(found, Watched) and np.may_share_memory(strip(found), strip(self))
        self.tape.is_whole &= is_view
        return found

    def __bool__(self) -> bool:
        self.tape.is_whole = False
        return bool(strip(self))

    def __float__(self) -> float:
        self.tape.is_whole = False
        return float(strip(self))

    def item(self, *args: Any) -> Any:
        """As of an array; Python then knows what may change."""
        self.tape.is_whole = False
        return strip(self).item(*args)


# Functions whose result is a view of an argument.
_VIEWS = frozenset({np.expand_dims, np.moveaxis, np.swapaxes, np.transpose, np.squeeze})

# Methods that NumPy tells nobody of; sums and the like are calls of ufuncs, which it tells of.
_UNTOLD = """
    __complex__ __index__ __int__ argmax argmin argpartition argsort byteswap choose clip compress
    cumprod cumsum diagonal dot fill flatten mean nonzero partition put repeat resize round
    searchsorted setfield sort std take tobytes tofile tolist trace var
"""


def _spoil(name: str) -> Callable[..., Any]:
    """The method ``name`` of arrays, after which a tape can't be played."""

    def method(self: Watched, *args: Any, **options: Any) -> Any:
        self.tape.is_whole = False
        return getattr(strip(self), name)(*self.tape.strip(args), **options)

    return method


for _name in _UNTOLD.split():
    setattr(Watched, _name, _spoil(_name))


def _settle(arguments: tuple[Any, ...], dtype: np.dtype[Any]) -> list[Any]:
    """Python's numbers as arrays of the type that NumPy would make of them at each call."""
    is_plain = all(a.dtype == dtype for a in arguments if isinstance(a, np.ndarray))
    if not is_plain or dtype.kind != "f":
        return list(arguments)
    # NumPy's own numbers have a type that counts.
    return [np.asarray(a, dtype) if type(a) in (int, float) else a for a in arguments]


def _arrays(arguments: tuple[Any, ...]) -> list[Array]:
    return [argument for argument in arguments if isinstance(argument, np.ndarray)]


def _refill(target: Array, call: Callable[[], Array]) -> None:
    np.copyto(target, call())
