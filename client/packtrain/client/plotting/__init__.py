"""Sweeps as pictures: matplotlib is imported where one is drawn."""

from packtrain.client.plotting.bars import draw_importance
from packtrain.client.plotting.curves import draw_results
from packtrain.client.plotting.fronts import draw_front
from packtrain.client.plotting.parallel import draw_parallel
from packtrain.client.plotting.scales import log_paths
from packtrain.client.plotting.scatter import draw_scatter

__all__ = [
    "draw_front",
    "draw_importance",
    "draw_parallel",
    "draw_results",
    "draw_scatter",
    "log_paths",
]
