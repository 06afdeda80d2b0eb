"""Predictions and what is computed from them. No torch in here."""
