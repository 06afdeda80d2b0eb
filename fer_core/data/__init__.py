"""Data: readers, preparation, prepared sets, quality, splits and transforms."""
