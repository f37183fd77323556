"""jaxsim: choose how to serve a large language model.

Everything a user needs is here. Names are imported on first use, so that `import jaxsim` and
`jaxsim --help` start neither JAX nor xarray.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from jaxsim._version import __version__ as __version__

if TYPE_CHECKING:
    from jaxsim._progress import heard_by as heard_by
    from jaxsim.api.accessors import open_tree as open_tree
    from jaxsim.api.draws import simulate_draws as simulate_draws
    from jaxsim.api.gains import gains as gains
    from jaxsim.api.plan import estimate as estimate
    from jaxsim.api.plan import evaluate as evaluate
    from jaxsim.api.plan import frontier as frontier
    from jaxsim.api.plan import plan as plan
    from jaxsim.api.point import design_point as design_point
    from jaxsim.api.request import EstimateRequest as EstimateRequest
    from jaxsim.api.search import SearchRequest as SearchRequest
    from jaxsim.api.search import search as search
    from jaxsim.api.sensitivity import sensitivity as sensitivity
    from jaxsim.api.serve import ServeRequest as ServeRequest
    from jaxsim.api.serve import serve as serve
    from jaxsim.api.simulate import Pools as Pools
    from jaxsim.api.simulate import SimulateRequest as SimulateRequest
    from jaxsim.api.simulate import simulate as simulate
    from jaxsim.catalog.cards import HardwareCard as HardwareCard
    from jaxsim.catalog.cards import ModelCard as ModelCard
    from jaxsim.catalog.engine import Options as Options
    from jaxsim.catalog.errors import InputError as InputError
    from jaxsim.catalog.load import load_hardware as load_hardware
    from jaxsim.catalog.load import load_model as load_model
    from jaxsim.catalog.names import list_hardware as list_hardware
    from jaxsim.catalog.names import list_models as list_models
    from jaxsim.catalog.prices import with_price as with_price
    from jaxsim.catalog.workload import Share as Share
    from jaxsim.catalog.workload import Workload as Workload
    from jaxsim.point.explain import Explanation as Explanation
    from jaxsim.space.axes import Space as Space
    from jaxsim.space.deploy.request import PlanRequest as PlanRequest
    from jaxsim.space.deploy.result import Deployed as Deployed
    from jaxsim.space.deploy.result import Plan as Plan
    from jaxsim.space.deploy.result import Unmet as Unmet
    from jaxsim.space.sensitivity.request import SensitivityRequest as SensitivityRequest
    from jaxsim.space.sensitivity.request import Times as Times
    from jaxsim.space.sensitivity.result import Sensitivity as Sensitivity
    from jaxsim.traffic.read.files import read_trace as read_trace
    from jaxsim.traffic.service import UnderLoad as UnderLoad
    from jaxsim.traffic.synthetic.load import load_of as load_of
    from jaxsim.view.figures.breakdown import draw_breakdown as draw_breakdown
    from jaxsim.view.figures.frontier import draw_frontier as draw_frontier
    from jaxsim.view.figures.gain_map import draw_gain_map as draw_gain_map
    from jaxsim.view.figures.measured import draw_measured as draw_measured
    from jaxsim.view.figures.ratio import draw_ratio as draw_ratio
    from jaxsim.view.figures.timeline import draw_timeline as draw_timeline
    from jaxsim.view.figures.tornado import draw_tornado as draw_tornado

_WHERE = {
    "EstimateRequest": "jaxsim.api.request",
    "SearchRequest": "jaxsim.api.search",
    "ServeRequest": "jaxsim.api.serve",
    "SimulateRequest": "jaxsim.api.simulate",
    "Deployed": "jaxsim.space.deploy.result",
    "Explanation": "jaxsim.point.explain",
    "HardwareCard": "jaxsim.catalog.cards",
    "InputError": "jaxsim.catalog.errors",
    "ModelCard": "jaxsim.catalog.cards",
    "Options": "jaxsim.catalog.engine",
    "Plan": "jaxsim.space.deploy.result",
    "PlanRequest": "jaxsim.space.deploy.request",
    "Sensitivity": "jaxsim.space.sensitivity.result",
    "SensitivityRequest": "jaxsim.space.sensitivity.request",
    "Share": "jaxsim.catalog.workload",
    "Space": "jaxsim.space.axes",
    "Times": "jaxsim.space.sensitivity.request",
    "UnderLoad": "jaxsim.traffic.service",
    "Unmet": "jaxsim.space.deploy.result",
    "Workload": "jaxsim.catalog.workload",
    "design_point": "jaxsim.api.point",
    "estimate": "jaxsim.api.plan",
    "evaluate": "jaxsim.api.plan",
    "frontier": "jaxsim.api.plan",
    "heard_by": "jaxsim._progress",
    "list_hardware": "jaxsim.catalog.names",
    "list_models": "jaxsim.catalog.names",
    "load_hardware": "jaxsim.catalog.load",
    "load_model": "jaxsim.catalog.load",
    "open_tree": "jaxsim.api.accessors",
    "plan": "jaxsim.api.plan",
    "search": "jaxsim.api.search",
    "sensitivity": "jaxsim.api.sensitivity",
    "serve": "jaxsim.api.serve",
    "with_price": "jaxsim.catalog.prices",
    "Pools": "jaxsim.api.simulate",
    "simulate": "jaxsim.api.simulate",
    "simulate_draws": "jaxsim.api.draws",
    "read_trace": "jaxsim.traffic.read.files",
    "load_of": "jaxsim.traffic.synthetic.load",
    "draw_breakdown": "jaxsim.view.figures.breakdown",
    "draw_frontier": "jaxsim.view.figures.frontier",
    "draw_gain_map": "jaxsim.view.figures.gain_map",
    "draw_measured": "jaxsim.view.figures.measured",
    "draw_ratio": "jaxsim.view.figures.ratio",
    "draw_timeline": "jaxsim.view.figures.timeline",
    "draw_tornado": "jaxsim.view.figures.tornado",
    "gains": "jaxsim.api.gains",
}

__all__ = sorted(["__version__", *_WHERE])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'jaxsim' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
