"""Where protobuf messages of the contract meet the service's own values."""

from packtrain.service.contract.catalogue import NUMBERS
from packtrain.service.contract.expansion import Expansion
from packtrain.service.contract.learners import offered
from packtrain.service.contract.numbers import NumberField
from packtrain.service.contract.planning import Planner
from packtrain.service.contract.search import trial_parameters

__all__ = ["NUMBERS", "Expansion", "NumberField", "Planner", "offered", "trial_parameters"]
