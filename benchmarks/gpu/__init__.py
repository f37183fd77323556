"""The GPU path: what XLA makes of it on a machine without a GPU, and what a GPU makes of it."""
