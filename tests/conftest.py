"""Tests run in 64 bits, with rank promotion an error and annotations checked at run time.

The library itself never changes JAX's configuration; this file does, for the tests alone.
"""

import jax
from hypothesis import HealthCheck, settings

from tests import typecheck

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

typecheck.install()

# As in the command line: looking for garbage took a sixth of the time.
from jaxsim.view.cli.process import collect_seldom  # noqa: E402 - checked, once that is installed

collect_seldom()

# Timings on shared machines say nothing about correctness; examples repeat from run to run.
settings.register_profile(
    "jaxsim",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("jaxsim")

# What takes minutes begins first: begun last, it would run alone while other processes wait.
LONGEST = ("test_gpu.py",)


def pytest_collection_modifyitems(items):
    """The longest files first; the order is otherwise as collected."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
