"""Dataset readers, one module per format."""
