"""Many designs: axes, sweeps, frontiers and sensitivities."""
