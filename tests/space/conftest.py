"""What tests of sensitivities ask about; a module that plans something else has its own."""

import pytest

import jaxsim
from jaxsim.catalog.setup import setup_of
from jaxsim.space.deploy.request import PlanRequest
from jaxsim.space.deploy.sweep import sweep_phases


@pytest.fixture(scope="session")
def setup():
    return setup_of("deepseek-r1", "gb200-nvl72", engine="trtllm")


@pytest.fixture(scope="session")
def plan_request():
    return PlanRequest(jaxsim.Workload(isl=16384.0, osl=2048.0), ftl_s=8.0, ttl_s=0.04)


@pytest.fixture(scope="module")
def swept(setup, plan_request, request):
    """Every phase on the grid of the module, its `SPACE`."""
    return sweep_phases(setup, plan_request, request.module.SPACE)
