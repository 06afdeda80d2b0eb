"""Training callbacks: progress files and Weights & Biases."""
