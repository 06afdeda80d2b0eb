"""Drawn faces whose muscles are known: the generator behind the embedded example."""
