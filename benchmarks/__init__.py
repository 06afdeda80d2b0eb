"""Measurements of speed and memory: `python -m benchmarks`. Leave the machine alone meanwhile."""
