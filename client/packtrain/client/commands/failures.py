"""From errors to one sentence on stderr and an exit code.

0 all went well (of `run` and `watch`: the job SUCCEEDED); 1 something failed; 2 the request was
wrong: usage, specification or argument; 3 the job was CANCELLED; 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from packtrain.client.errors import InvalidArgument, PacktrainError, SpecError, Violation
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
            wrong = isinstance(error, InvalidArgument | SpecError)
            raise typer.Exit(EXIT_WRONG if wrong else EXIT_FAILED) from None
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"packtrain: {where}{error.strerror or error}", err=True)
            raise typer.Exit(EXIT_FAILED) from None


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
