"""The packed trainer on one core, beside the machine's limits and what a user would pick instead.

python -m benchmarks.trainer [--quick] [--only SHAPE] [--json FILE]
"""
