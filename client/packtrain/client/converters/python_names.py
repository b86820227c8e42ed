"""What the fields of the contract are called in Python, for whoever wrote typed objects.

The contract has a message for each alternative (``optimizer.sgd.learning_rate``) and keeps searched
fields apart (``search.parameters[0].log_uniform.low``); in Python both are an object's attribute
(``optimizer.learning_rate``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from packtrain.client import selections, spec, stopping
from packtrain.client.converters.readers import (
    COSTS,
    EARLY_STOPPING,
    INITIALIZATIONS,
    OPTIMIZERS,
    SCHEDULES,
)
from packtrain.client.errors import Violation
from packtrain.v1 import spec_pb2

# Points are an attribute of theirs, which bears the same name.
_ALGORITHMS = [
    field.name
    for field in spec_pb2.Search.DESCRIPTOR.oneofs_by_name["algorithm"].fields
    if field.name != "points"
]


def _member(field: str, kinds: Iterable[str]) -> tuple[str, str]:
    """The rule that leaves an alternative of the field out."""
    return rf"^{field}\.(?:{'|'.join(kinds)})(?=$|[.\[])", field.replace("\\", "")


# Tried in order, all of them.
_RULES = (
    (r'^search\.points\.points\[(\d+)\]\.values\["(.*)"\]', r'search.points[\1]["\2"]'),
    (r"^search\.points\.points", "search.points"),
    *(
        _member(field, kinds)
        for field, kinds in (
            ("search", _ALGORITHMS),
            ("cost", COSTS.values()),
            ("initialization", INITIALIZATIONS.values()),
            ("optimizer", OPTIMIZERS.values()),
            (r"optimizer\.schedule", SCHEDULES.values()),
        )
    ),
    (
        r"^initialization\.rest\.(?:" + "|".join(INITIALIZATIONS.values()) + r")\b",
        "initialization.rest",
    ),
    (r"^initialization\.layers\[(\d+)\]\.(weights|biases)", r"initialization.\2[\1]"),
    (r"^search\.(objectives|population)", r"\1"),
    (r"^search\.(?:" + "|".join(EARLY_STOPPING.values()) + r")\b", "early_stopping"),
    (r"^measurement\.metrics", "metrics"),
    (r"^measurement\.every_epochs", "measure_every"),
    (r"^dataset\.training(?:\.count)?(?=$|\.)", "dataset.training_rows"),
    (r"^dataset\.validation_(?:share|rows)", "dataset.validation"),
)


class PythonNames:
    """The names of a specification that was given as ``given`` and is written as ``message``."""

    def __init__(self, given: spec.JobSpec, message: spec_pb2.JobSpec) -> None:
        self._paths = [parameter.path for parameter in message.search.parameters]
        self._whole = set()
        if not isinstance(given.dataset, selections.DatasetSelection):
            self._whole.add("dataset")
        if not isinstance(given.network, spec.Network):
            self._whole.add("network")
        self._is_one_rule = isinstance(given.stopping, stopping.Patience | stopping.Target)

    def violation(self, wrong: Violation) -> Violation:
        """The violation as the writer of Python reads it."""
        example = r"objectives: \[\{metric: (\w+)\}\]"
        told = re.sub(example, r'objectives="\1"', wrong.description)
        return Violation(self.field(wrong.field), told)

    def field(self, field: str) -> str:
        """A field's name in Python."""
        field = field.removeprefix("spec.")
        searched = re.match(r"search\.parameters\[(\d+)\]", field)
        if searched and int(searched[1]) < len(self._paths):
            field = self._paths[int(searched[1])]
        for pattern, words in _RULES:
            field = re.sub(pattern, words, field)
        if self._is_one_rule:
            field = re.sub(r"^stopping\.(?:patience|target)\b", "stopping", field)
        root = re.split(r"[.\[]", field)[0]
        return root if root in self._whole else field
