"""Where protobuf messages of the contract meet the service's own values."""

from packtrain.service.contract.catalogue import NUMBERS
from packtrain.service.contract.expansion import Expansion
from packtrain.service.contract.fields import Violations
from packtrain.service.contract.learners import offered
from packtrain.service.contract.numbers import NumberField
from packtrain.service.contract.planning import Planner
from packtrain.service.contract.trial_parameters import TrialParameters
from packtrain.service.contract.updates import read_update

__all__ = [
    "NUMBERS",
    "Expansion",
    "NumberField",
    "Planner",
    "TrialParameters",
    "Violations",
    "offered",
    "read_update",
]
