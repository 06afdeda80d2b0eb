"""Weights of the colour channels in a grey image."""

LUMA = (0.299, 0.587, 0.114)
"""Of red, green and blue, as Pillow and OpenCV convert to grey (ITU-R BT.601)."""
