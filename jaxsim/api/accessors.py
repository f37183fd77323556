"""What can a tree of evaluated designs do?  `tree.jaxsim.…`, by xarray's accessors.

Trees of `jaxsim.evaluate` and of `jaxsim sweep` have them; `jaxsim.open_tree` opens a saved one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
import xarray as xr

from jaxsim.catalog.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

KINDS = ("disaggregated", "colocated")


class FrontierKeywords(TypedDict, total=False):
    """Further keywords of `jaxsim.frontier`."""

    ttl_metric: str
    max_gpus: int | None
    ratio: float | None


@xr.register_datatree_accessor("jaxsim")
class TreeAccessor:
    """Frontiers, best designs and pictures of a tree with /prefill, /decode and /colocated."""

    def __init__(self, tree: xr.DataTree):
        self._tree = tree

    def frontier(self, ftl: float = np.inf, **options: Unpack[FrontierKeywords]) -> xr.DataTree:
        """The disaggregated and co-located frontiers under a first-token latency, seconds."""
        from jaxsim.api.plan import frontier

        if set(KINDS) <= set(self._tree.children):
            return self._tree
        return frontier(self._tree, ftl_s=ftl, **options)

    def best(
        self, *, ftl: float = np.inf, ttl: float, **options: Unpack[FrontierKeywords]
    ) -> xr.Dataset:
        """The best point of both frontiers under latencies in seconds, on the dimension `kind`.

        Throughput per GPU with its interval, the token latency reached, and the design; NaN where
        no design of a kind meets them.
        """
        best: list[xr.Dataset] = []
        front = self.frontier(ftl, **options)
        for kind in KINDS:
            own = front[kind].to_dataset()
            met = own.where(own["ttl_s"] <= ttl, drop=True)
            if met.sizes["ttl_s"]:
                place = int(np.argmax(met["output_tokens_per_s_per_gpu"].values))
                best.append(met.isel(ttl_s=place).reset_coords("ttl_s"))
            else:
                numbers = {name: np.nan for name, v in own.items() if v.dtype.kind == "f"}
                best.append(xr.Dataset({**numbers, "ttl_s": np.nan}))
        kinds = xr.DataArray(list(KINDS), dims="kind", name="kind")
        return xr.concat(best, dim=kinds, join="outer", combine_attrs="override", coords="minimal")

    def to_dataframe(
        self, ftl: float = np.inf, **options: Unpack[FrontierKeywords]
    ) -> "pd.DataFrame":
        """Both frontiers as one table, with a column `kind`."""
        import pandas as pd

        front = self.frontier(ftl, **options)
        frames = [front[kind].to_dataset().to_dataframe().reset_index() for kind in KINDS]
        return pd.concat(frames, keys=KINDS, names=["kind"]).reset_index(level="kind")

    def plot(
        self, ftl: float = np.inf, ax: "Axes | None" = None, **options: Unpack[FrontierKeywords]
    ) -> "Axes":
        """Throughput per GPU against interactivity of both frontiers; the axes drawn on."""
        import matplotlib.pyplot as plt

        front = self.frontier(ftl, **options)
        ax = plt.gca() if ax is None else ax
        for kind in KINDS:
            own = front[kind].to_dataset()
            ax.step(1.0 / own["ttl_s"], own["output_tokens_per_s_per_gpu"], label=kind)
        ax.set(xlabel="tokens/s a user", ylabel="output tokens/s/GPU")
        ax.legend()
        return ax


def open_tree(path: str | Path) -> xr.DataTree:
    """A tree that `tree.to_netcdf(…)` or `jaxsim plan -o DIR` saved, with `tree.jaxsim`.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=1024, osl=128)
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "tree.nc"
    >>> jaxsim.evaluate("llama-3.1-8b", "h100", work, space).to_netcdf(path, engine="h5netcdf")
    >>> with jaxsim.open_tree(path) as tree:
    ...     sorted(tree.children)
    ['colocated', 'decode', 'prefill']
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; save a tree with tree.to_netcdf(…).")
    engine = "zarr" if path.is_dir() else "h5netcdf"
    return xr.open_datatree(path, engine=engine)
