"""What was meant by a word that nobody knows: the one place of the service that guesses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

# Less alike than this, a hint would mislead.
_LEAST = 0.7
# What is told apart by less than this is told together, up to so many.
_TIE, _MOST = 0.02, 2
# What a letter that the whole has beside the part that is alike takes off.
_LETTER = 0.005
# What other systems call ours.
_OUR_WORDS = {
    "acc": "accuracy",
    "asha": "successive_halving",
    "loss": "cost",
    "lr": "learning_rate",
    "pbt": "population",
    "train": "training",
    "val": "validation",
}


def find_meant(word: str, known: Iterable[str]) -> list[str]:
    """The known names that are most like ``word``, the first of them first; [] where none is.

    A name may be meant by its end, after a dot or an underscore: ``accuracy`` is like
    ``validation_accuracy``, ``learning_rate`` like ``optimizer.sgd.learning_rate``. Capitals, and
    what stands between words, make no difference, and words of other systems stand for ours.
    """
    word = in_our_words(word)
    scores = {name: _likeness(word, name) for name in known}
    best = max(scores.values(), default=0.0)
    if best < _LEAST:
        return []
    return [name for name, score in scores.items() if score > best - _TIE][:_MOST]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean X?" to end a sentence with, or "". Of a mapping, the values are told of the
    keys that are meant."""
    meant = find_meant(word, known)
    told = [known[name] for name in meant] if isinstance(known, Mapping) else meant
    return f"; did you mean {' or '.join(dict.fromkeys(told))}?" if meant else ""


def in_our_words(name: str) -> str:
    """The name with ours for the words of other systems: ``val_loss`` is ``validation_cost``."""
    return re.sub(r"[A-Za-z]+", lambda word: _OUR_WORDS.get(word[0].lower(), word[0]), name)


def _likeness(word: str, name: str) -> float:
    """From 0 to 1."""
    if word.startswith(f"{name}."):
        return 0.0  # what is wrong is within it
    # Where two paths lead through the same, only the rest tells them apart.
    while "." in word and "." in name and word.split(".")[0] == name.split(".")[0]:
        word, name = word.partition(".")[2], name.partition(".")[2]
    given, whole = _plain(word), _plain(name)
    if given == whole:
        return 1.0
    if len(given) > 3 and whole.startswith(given):
        return 0.95
    starts = [0, *(match.end() for match in re.finditer(r"[._]", name))]
    return max(
        difflib.SequenceMatcher(None, given, _plain(name[start:])).ratio() - _LETTER * start
        for start in starts
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()
