"""Predictions of other packages, to be imported as runs; see README.md."""
