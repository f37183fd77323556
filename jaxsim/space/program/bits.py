"""In 32 or 64 bits: what is JAX's setting on this thread? It is never changed globally.

JAX keeps it by thread, and moved its context manager out of `jax.experimental` on the way.
"""

import contextlib
import importlib

import jax


def wide() -> bool:
    """Whether this thread computes in 64 bits."""
    return bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]


def in_precision(bits64: bool) -> contextlib.AbstractContextManager[object]:
    """A context in which this thread computes in 64 bits, or in 32."""
    if wide() == bits64:
        return contextlib.nullcontext()
    home = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    return home.enable_x64(bits64)
