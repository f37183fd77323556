"""A traced point function: a list of operations, each with the axes it depends on.

From a Python function and its inputs to a `Program` (`trace`), which is rewritten (`reorder`,
`deduplicate`), evaluated in NumPy (`interpret`, `host`) or JAX (`in_jax`) and kept in memory
(`cache`) and on disk (`files`). Begin with `trace.py`.
"""
