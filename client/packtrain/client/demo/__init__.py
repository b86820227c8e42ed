"""The demo: why networks learn slowly, and what cures it, in four experiments."""

from packtrain.client.demo.run import run_demo

__all__ = ["run_demo"]
