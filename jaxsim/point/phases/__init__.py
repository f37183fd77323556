"""The phases of serving: prefill, decode, and both on the same GPUs."""
