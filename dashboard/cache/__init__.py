"""Cached access to benchmarks, results, predictions and explanations."""
