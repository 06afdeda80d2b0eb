"""Benchmarks of speed, memory and detection: `python -m benchmarks`, on an idle machine."""
