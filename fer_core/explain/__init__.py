"""Explanations of a model on one face."""
