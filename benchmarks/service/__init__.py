"""The service over gRPC, all metrics of all epochs delivered, beside Ray Tune and what is asked.

python -m benchmarks.service [--quick] [--only ROW] [--datasets DIR] [--json FILE]
"""
