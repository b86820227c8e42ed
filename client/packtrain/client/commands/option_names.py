"""Wrong fields of a request as the options and arguments of the command that made it."""

from __future__ import annotations

import re
from typing import Any

from packtrain.client.errors import Violation

# What of a command a field of a request comes from, where it bears another name; of several, the
# first that was given.
_PARAMETERS = {
    "best_by": ("metric",),
    "dataset_id": ("name",),
    "filter": ("wanted",),
    "labels": ("label",),
    "metrics": ("metric",),
    "name": ("job", "name"),
    "order_by": ("order_by", "sort"),
    "parent": ("job",),
}


class OptionNames:
    """The options and arguments of the command that a click context is of."""

    def __init__(self, ctx: Any) -> None:
        self._known = {p.name: p for p in ctx.command.params}
        self._given = {name for name, value in ctx.params.items() if value}

    def violation(self, wrong: Violation) -> Violation:
        """The violation, naming an option; as it is where its field comes from none."""
        root = re.split(r"[.\[]", wrong.field)[0]
        # The fields of a specification are those of its file.
        if "spec" in self._known and root not in ("job_id", "labels", "priority"):
            return wrong
        names = [n for n in _PARAMETERS.get(root, (root,)) if n in self._known]
        if not names:
            return wrong
        name = next((n for n in names if n in self._given), names[0])
        return Violation(_shown(self._known[name]), wrong.description)


def _shown(parameter: Any) -> str:
    """ "--metric" of an option, "JOB" of an argument."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    return str(max(parameter.opts, key=len))
