"""Where does disaggregation pay?  Its gain over lengths of prompts and outputs, as colours."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from jaxsim.catalog.errors import InputError
from jaxsim.view.figures.style import INK, SOURCE, sheet
from jaxsim.view.text import units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST, MOST = 0.8, 2.0
BOUNDARY = 1.05
MOST_WRITTEN = 80  # cells, up to which the gain is written in each
TICKS = (0.8, 0.9, 1.0, 1.25, 1.5, 2.0)


def draw_gain_map(gains: xr.DataArray, size: str = "page") -> "Axes":
    """The gain of disaggregation (`gains`) over OSL and ISL; the line is a gain of 1.05.

    Blue is a gain, red a loss, grey where nothing meets the targets. Each cell is one workload,
    with its gain written in it where there is room. `size` is `page`, `slide` (16:9) or `paper`.

    Raises InputError unless `gains` has exactly the dimensions isl and osl.

    >>> space = jaxsim.Space(tp=(1,), pp=(1,), batch=(1, 16, 64), chunk=(1024,))
    >>> work = jaxsim.Workload(isl=np.array([512, 2048]), osl=np.array([64, 256]))
    >>> tree = jaxsim.evaluate("llama-3.1-8b", "h100", work, space)
    >>> jaxsim.draw_gain_map(jaxsim.gains(tree, ftl_s=1.0, ttl_s=0.02)).get_xlabel()
    'output tokens (OSL)'
    """
    import matplotlib as mpl
    from matplotlib.colors import TwoSlopeNorm

    if set(gains.dims) != {"isl", "osl"}:
        raise InputError(
            f"gains over {', '.join(map(str, gains.dims)) or 'nothing'}: a map needs isl and osl "
            "and no other dimension; make them with jaxsim.gains, and select the rest."
        )
    gains = gains.transpose("isl", "osl")
    x, y = np.arange(gains.sizes["osl"]), np.arange(gains.sizes["isl"])
    value = np.asarray(gains.values, float)
    met = value[np.isfinite(value)]
    claim = "No workload can be served either way"
    if len(met):
        low, high = units.times(float(met.min())), units.times(float(met.max()))
        claim = f"Disaggregation gives {low} to {high} the throughput of co-location"
        if alone := int(np.isposinf(value).sum()):
            claim += f", and alone serves {alone} of {value.size} workloads"
    case, source = _said(gains)
    with sheet(size, claim, case, source, style={"axes.grid": False}) as figure:
        axes = figure.subplots()
        shade = mpl.colormaps["RdBu"].with_extremes(bad="#D5D9DD")
        norm = TwoSlopeNorm(1.0, LEAST, MOST)
        shown = np.clip(np.where(np.isposinf(value), 9.0, value), LEAST, MOST)
        drawn = axes.pcolormesh(x, y, shown, norm=norm, cmap=shade, shading="nearest")
        _border(axes, np.nan_to_num(value, nan=0.0, posinf=9.0) >= BOUNDARY)
        if value.size <= MOST_WRITTEN:
            for i, j in np.ndindex(value.shape):
                dark = not np.isnan(value[i, j]) and (shown[i, j] > 1.6 or shown[i, j] < 0.87)
                axes.text(
                    j, i, _text(float(value[i, j])), ha="center", va="center", fontsize="small",
                    color="white" if dark else INK,
                )  # fmt: skip
        axes.set_xticks(x, [_count(float(v)) for v in gains.osl.values])
        axes.set_yticks(y, [_count(float(v)) for v in gains.isl.values])
        axes.set_xlabel("output tokens (OSL)")
        axes.set_ylabel("input tokens (ISL)")
        bar = figure.colorbar(drawn, ax=axes, extend="both", pad=0.02)
        bar.set_ticks(list(TICKS), labels=[f"{tick:g}×" for tick in TICKS])
        bar.set_label(f"disaggregated / co-located, tokens/s/GPU (line: {BOUNDARY:g}×)")
    return axes


def _border(axes: "Axes", pays: np.ndarray) -> None:
    """A line between the cells where disaggregation pays and those where it does not."""
    for i, j in zip(*np.nonzero(pays[1:] != pays[:-1]), strict=True):
        axes.plot([j - 0.5, j + 0.5], [i + 0.5] * 2, color=INK, lw=2.0)
    for i, j in zip(*np.nonzero(pays[:, 1:] != pays[:, :-1]), strict=True):
        axes.plot([j + 0.5] * 2, [i - 0.5, i + 0.5], color=INK, lw=2.0)


def _said(gains: xr.DataArray) -> tuple[str, str]:
    """The case and the source of gains, from their attributes."""
    known = {str(name): value for name, value in gains.attrs.items()}
    case = f"{known.get('model', 'a model')} on {known.get('hardware', 'some hardware')}"
    if "precision" in known:
        case += f" · {known['precision']}"
    for name, title in (("ftl_target_s", "FTL"), ("ttl_target_s", "TTL")):
        if name in known:
            case += f" · {title} ≤ {units.seconds(float(known[name]))}"
    kinds = (("calibration", "{} calibration"), ("engine", "engine {}"))
    rests = [text.format(known[name]) for name, text in kinds if name in known]
    return case, " · ".join([*([", ".join(rests)] if rests else []), SOURCE])


def _text(gain: float) -> str:
    """A gain in a cell."""
    if np.isnan(gain):
        return "–"
    return "only" if np.isposinf(gain) else f"{gain:.2f}"


def _count(tokens: float) -> str:
    return f"{tokens / 1024:g}k" if tokens >= 1024 else f"{tokens:g}"
