"""What do the frontiers of a swept store say, workload by workload?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from jaxsim._progress import Counted, tell
from jaxsim.api.dataset import attributes, end_attributes
from jaxsim.api.plan import frontier
from jaxsim.catalog.errors import InputError
from jaxsim.view.files.store import DONE, require_zarr
from jaxsim.view.files.store_checks import attributes_of, intact, refuse_missing


def open_swept(path: Path) -> xr.DataTree:
    """The store as a DataTree, read lazily; an error if it is not whole."""
    require_zarr()
    attributes_of(path)
    tree = intact(path, lambda: xr.open_datatree(path, engine="zarr", consolidated=False))
    done = intact(path, lambda: np.asarray(tree.to_dataset()[DONE]))
    if not done.all():
        raise InputError(
            f"{path}: {int((done == 0).sum())} of {done.size} blocks are missing; finish it with "
            "`jaxsim sweep … --resume`."
        )
    refuse_missing(path)
    return tree


def _workload(path: Path, tree: xr.DataTree, **lengths: float) -> xr.DataTree:
    """The phases at one workload, in memory; a phase ignores a length it does not depend on."""
    phases = {}
    for name, node in tree.children.items():
        own = {axis: value for axis, value in lengths.items() if axis in node.dims}
        phases[name] = intact(path, node.to_dataset().sel(own).load)
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=tree.attrs), **phases})


def frontiers_of(
    path: Path, ftl_s: float, ttl_s: Sequence[float], ttl_metric: str = "mean"
) -> xr.Dataset:
    """Best throughput at each token latency: a Dataset on (isl, osl, ttl_target), NaN where none.

    `…_low` and `…_high` are the ends of its 80 % interval; `gain` is disaggregated over co-located
    throughput.
    """
    tree = open_swept(path)
    isl, osl = tree["decode"].isl.values, tree["decode"].osl.values
    shape = (len(isl), len(osl), len(ttl_s))
    kinds, ends = ("disaggregated", "colocated"), ("", "_low", "_high")
    best = {kind + end: np.full(shape, np.nan) for kind in kinds for end in ends}
    for i, one_isl in enumerate(isl):
        for j, one_osl in enumerate(osl):
            done, total = i * len(osl) + j, len(isl) * len(osl)
            tell(Counted(f"frontiers of {path.name}", done, total, "workloads"))
            one = _workload(path, tree, isl=float(one_isl), osl=float(one_osl))
            frontiers = frontier(one, ftl_s=ftl_s, ttl_metric=ttl_metric)
            for kind in kinds:
                front = frontiers[kind].to_dataset()
                for k, target in enumerate(ttl_s):
                    met = np.flatnonzero(front.ttl_s.values <= target)
                    if not len(met):
                        continue
                    top = met[front.output_tokens_per_s_per_gpu.values[met].argmax()]
                    for end in ends:
                        column = front[f"output_tokens_per_s_per_gpu{end}"]
                        best[kind + end][i, j, k] = column.values[top]
    dims = ("isl", "osl", "ttl_target")
    about = attributes("output_tokens_per_s_per_gpu")
    return xr.Dataset(
        {
            **{
                kind + end: (dims, best[kind + end], end_attributes(end[1:]) if end else about)
                for kind in kinds
                for end in ends
            },
            "gain": (
                dims,
                best["disaggregated"] / best["colocated"],
                {"units": "1", "long_name": "gain", "description": "Disaggregated / co-located."},
            ),
        },
        {
            "isl": ("isl", isl, attributes("isl")),
            "osl": ("osl", osl, attributes("osl")),
            "ttl_target": ("ttl_target", np.asarray(ttl_s), attributes("ttl_target")),
        },
        {**tree.attrs, "ftl_s": ftl_s, "ttl_metric": ttl_metric},
    )
