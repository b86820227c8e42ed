"""From errors to one sentence on stderr and an exit code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from packtrain.client.commands.exit_codes import exit_code
from packtrain.client.commands.option_names import OptionNames
from packtrain.client.errors import (
    ApiError,
    PacktrainError,
    SpecError,
    Violation,
    tells_first,
)
from packtrain.client.spec_files import SpecFileError


class Command(TyperCommand):
    """A command whose errors name its own options and arguments."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SpecFileError:
            raise
        except (ApiError, SpecError) as error:
            error.reword(OptionNames(ctx).violation)
            raise


class CommandGroup(TyperGroup):
    """Commands whose errors end in a sentence, never in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PacktrainError as error:
            tell(error)
            raise typer.Exit(exit_code(error)) from None
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            typer.echo(f"packtrain: {where}{error.strerror or error}", err=True)
            raise typer.Exit(exit_code(error)) from None
        except Exception as error:
            _reword(error)
            raise


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
    """Write the error's sentence to stderr, or the list of wrong fields where there are several."""
    violations: Sequence[Violation] = getattr(error, "violations", ())
    sentence = str(error)
    if len(violations) == 1 and violations[0].description in sentence:
        violations = ()
    elif violations and isinstance(error, SpecFileError):
        sentence = f"{error.path} is not a specification:"
    elif violations and (isinstance(error, SpecError) or tells_first(sentence, violations)):
        sentence = "these fields are wrong:"
    typer.echo(f"packtrain: {sentence}", err=True)
    for field, description in violations:
        typer.echo(f"  {field}: {description}", err=True)
