"""jaxsim: choose how to serve a large language model.

Everything a user needs is here. Names are imported on first use, so that `import jaxsim` and
`jaxsim --help` start neither JAX nor xarray.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from jaxsim._version import __version__ as __version__

if TYPE_CHECKING:
    from jaxsim.catalog.engine import Options as Options
    from jaxsim.catalog.errors import InputError as InputError
    from jaxsim.catalog.load import load_hardware as load_hardware
    from jaxsim.catalog.load import load_model as load_model
    from jaxsim.catalog.names import list_hardware as list_hardware
    from jaxsim.catalog.names import list_models as list_models
    from jaxsim.catalog.workload import Workload as Workload
    from jaxsim.space.axes import Space as Space
    from jaxsim.view.api import estimate as estimate
    from jaxsim.view.api import evaluate as evaluate
    from jaxsim.view.api import frontier as frontier
    from jaxsim.view.api import plan as plan
    from jaxsim.view.search_api import search as search
    from jaxsim.view.sensitivity_api import sensitivity as sensitivity
    from jaxsim.view.serving_api import serve as serve

_WHERE = {
    "InputError": "jaxsim.catalog.errors",
    "Options": "jaxsim.catalog.engine",
    "Space": "jaxsim.space.axes",
    "Workload": "jaxsim.catalog.workload",
    "estimate": "jaxsim.view.api",
    "evaluate": "jaxsim.view.api",
    "frontier": "jaxsim.view.api",
    "list_hardware": "jaxsim.catalog.names",
    "list_models": "jaxsim.catalog.names",
    "load_hardware": "jaxsim.catalog.load",
    "load_model": "jaxsim.catalog.load",
    "plan": "jaxsim.view.api",
    "search": "jaxsim.view.search_api",
    "sensitivity": "jaxsim.view.sensitivity_api",
    "serve": "jaxsim.view.serving_api",
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
