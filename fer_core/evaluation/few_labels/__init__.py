"""Which model is best on new images, from as few labels as possible; numpy and scipy only."""
