"""From errors to one sentence on stderr and an exit code.

0 all went well (of `run` and `watch`: the job SUCCEEDED); 1 something failed; 2 the request was
wrong: usage, specification or argument, also one that names what is not there, be it a job, a
dataset or a file; 3 the job was CANCELLED; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from packtrain.client.errors import (
    InvalidArgument,
    NotFound,
    PacktrainError,
    SpecError,
    Violation,
)
from packtrain.client.resources import JobState
from packtrain.client.spec_files import SpecFileError

EXIT_FAILED = 1
EXIT_WRONG = 2
EXIT_CANCELLED = 3
EXIT_INTERRUPTED = 130

OUTCOMES = {
    JobState.SUCCEEDED: 0,
    JobState.FAILED: EXIT_FAILED,
    JobState.CANCELLED: EXIT_CANCELLED,
}


class CommandGroup(TyperGroup):
    """Commands whose errors end in a sentence, never in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PacktrainError as error:
            tell(error)
            raise typer.Exit(_exit_code(error)) from None
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"packtrain: {where}{error.strerror or error}", err=True)
            raise typer.Exit(_exit_code(error)) from None
        except Exception as error:
            _reword(error)
            raise


def _exit_code(error: Exception) -> int:
    wrong = isinstance(error, InvalidArgument | NotFound | SpecError | FileNotFoundError)
    return EXIT_WRONG if wrong else EXIT_FAILED


# What typer's validation says, and what people are told instead.
_PLAIN_WORDS = (
    (r"Input should be greater than or equal to (\S+)", r"expected \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"expected \1 or less"),
    (r"Input should be a valid integer.*", "expected a whole number"),
    (r"Input should be a valid number.*", "expected a number"),
    (r"Value error, ", ""),
)


def _reword(error: Exception) -> None:
    """Put a usage error of typer, which carries its message, into plain words."""
    message = getattr(error, "message", None)
    if not isinstance(message, str):
        return
    for pattern, words in _PLAIN_WORDS:
        message = re.sub(pattern, words, message)
    hint = "; it comes before the command: packtrain --server HOST:PORT COMMAND"
    if getattr(error, "option_name", None) == "--server" and not message.endswith(hint):
        message += hint
    error.message = message  # type: ignore[attr-defined]


def tell(error: PacktrainError) -> None:
    """Write the error's sentence to stderr, and the list of wrong fields where there are several."""
    violations: Sequence[Violation] = getattr(error, "violations", ())
    sentence = str(error)
    if isinstance(error, SpecFileError) and len(violations) > 1:
        sentence = f"{error.path} is not a specification"
    elif isinstance(error, InvalidArgument) and len(violations) == 1:
        sentence = f"{violations[0].field}: {violations[0].description}"
    typer.echo(f"packtrain: {sentence}", err=True)
    if len(violations) > 1:
        for field, description in violations:
            typer.echo(f"  {field}: {description}", err=True)
