"""Callbacks of a training: progress files and Weights & Biases."""
