"""Over which lengths of requests does disaggregation pay?"""

import numpy as np
import xarray as xr

from jaxsim.api.plan import frontier


def gains(tree: xr.DataTree, *, ftl_s: float, ttl_s: float) -> xr.DataArray:
    """Disaggregated over co-located throughput per GPU at targets, for every workload of a tree.

    `tree` is what `evaluate` gives of sequences of `isl` and `osl`; the gain has these dimensions.
    It is NaN where nothing meets the targets, infinite where only disaggregated designs do, and 0
    where only co-located ones do. Draw it with `draw_gain_map`.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=np.array([512, 2048]), osl=np.array([64]))
    >>> tree = jaxsim.evaluate("llama-3.1-8b", "h100", work, space)
    >>> found = jaxsim.gains(tree, ftl_s=1.0, ttl_s=0.02)
    >>> found.dims, bool((found > 1.0).all())
    (('isl', 'osl'), True)
    """
    isl, osl = (np.asarray(tree["decode"][name].values) for name in ("isl", "osl"))
    gain = np.full((len(isl), len(osl)), np.nan)
    for i, prompt in enumerate(isl.tolist()):
        for j, output in enumerate(osl.tolist()):
            best = _best(tree, {"isl": prompt, "osl": output}, ftl_s, ttl_s)
            if best["disaggregated"] or best["colocated"]:
                with np.errstate(divide="ignore"):
                    gain[i, j] = np.divide(best["disaggregated"], best["colocated"])
    kept = {str(name): value for name, value in tree.attrs.items()}
    return xr.DataArray(
        gain,
        {
            "isl": ("isl", isl, {"units": "tokens", "long_name": "input tokens (ISL)"}),
            "osl": ("osl", osl, {"units": "tokens", "long_name": "output tokens (OSL)"}),
        },
        name="gain",
        attrs={**kept, "ftl_target_s": ftl_s, "ttl_target_s": ttl_s, "units": "1",
               "long_name": "disaggregated over co-located throughput per GPU"},
    )  # fmt: skip


def _best(
    tree: xr.DataTree, at: dict[str, float], ftl_s: float, ttl_s: float
) -> dict[str, np.float64]:
    """The most throughput of each kind under the targets; 0 where none meets them."""

    def chosen(node: xr.Dataset) -> xr.Dataset:
        return node.sel({name: [value] for name, value in at.items() if name in node.dims})

    fronts = frontier(tree.map_over_datasets(chosen), ftl_s=ftl_s)
    found = {}
    for name, front in fronts.children.items():
        curve = front.to_dataset()
        y = np.asarray(curve["output_tokens_per_s_per_gpu"].values)
        met = y[np.asarray(curve["ttl_s"].values) <= ttl_s]
        found[name] = np.float64(met.max() if len(met) else 0.0)
    return found
