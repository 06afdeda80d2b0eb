"""The commands of `python -m training`, by what they work on. Torch is imported inside them."""
