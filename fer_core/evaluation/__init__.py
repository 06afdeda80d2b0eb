"""Evaluation: predictions, metrics, statistical tests and the leaderboard. Imports no torch."""
