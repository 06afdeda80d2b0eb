"""Model selection on new images with as few labels as possible; needs numpy and scipy only."""
