"""Transformed copies of images: mirrored, rotated, cropped, brightened, blurred or noisy.

Nearest neighbours by a descriptor that ignores such changes are candidates (`descriptor`,
`candidates`). Each candidate is registered to the other image (`registration`), and what is left
between the two after registration decides whether they are one picture (`proof`). `search` runs
these steps; `table` and `summary` hold the results and import no torch.
"""
