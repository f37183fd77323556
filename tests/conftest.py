"""Tests run in 64 bits, with rank promotion an error and annotations checked at run time.

The library itself never changes JAX's configuration; this file does, for the tests alone.
"""

import jax
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

import tests.typecheck  # noqa: F401  the hook looks it up by name

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

install_import_hook("jaxsim", "tests.typecheck.check").__enter__()

# Timings on shared machines say nothing about correctness; examples repeat from run to run.
settings.register_profile(
    "jaxsim",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("jaxsim")
