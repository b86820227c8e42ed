"""The published experiments, run through the service.

python -m benchmarks.reproduce [--datasets DIR] [--only NUMBER] [--json FILE]
"""
