"""Procedurally drawn faces with known expression, action units and region masks."""
