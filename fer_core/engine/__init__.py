"""The training engine: batches, loss, the loop, and prediction."""
