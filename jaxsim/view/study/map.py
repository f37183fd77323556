"""When should one disaggregate?  The gain over input and output length, model and TTL.

The gain is disaggregated over co-located throughput under the same FTL and TTL targets. Its
boundary is where it reaches 5 %; its uncertainty has two parts: the residuals of the kernel fits,
and how much the gain differs between readings of the study.
"""

from dataclasses import dataclass
from typing import NotRequired, TypedDict, Unpack

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh

from jaxsim._progress import Counted, tell
from jaxsim._version import __version__
from jaxsim.space.axes import Space, complete, geometric, powers_of_two
from jaxsim.space.deploy.candidates import (
    decode_candidates,
    disaggregated_frontier,
    prefill_candidates,
)
from jaxsim.space.designs import Designs, evaluate_phase
from jaxsim.view.study.curves import colocated_table, on_ladder, thinned
from jaxsim.view.study.settings import Mixture, Setting, settings
from jaxsim.view.study.source import Study
from jaxsim.view.study.sweeps import Case

MODELS = ("llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "deepseek-r1")
ISL = tuple(float(2**k) for k in range(9, 18))
OSL = tuple(float(2**k) for k in range(6, 15))
TTL_S = (0.1, 0.05, 0.025, 0.0125)
BOUNDARY = 1.05
SPACE = Space(
    batch=geometric(8192.0, 2),
    prefill_batch=powers_of_two(1, 128),
    chunk=(128.0, 512.0, 2048.0, 8192.0),
    pp=(1.0, 4.0, 16.0),
)
BOUND = "#111111"  # of lines over colours, which are the same on a dark page
READINGS = 3  # mixtures of unknowns behind the spread of the map


@dataclass(frozen=True)
class GainMap:
    """The gain as a Dataset over model, ISL, OSL and TTL, and how many designs made it."""

    dataset: xr.Dataset
    designs: int


def slice_of(designs: Designs, isl: int, osl: int) -> Designs:
    """One workload of a grid with several."""
    position = {"isl": isl, "osl": osl}
    axes = {
        name: values[position[name]][None] if name in position else values
        for name, values in designs.axes.items()
    }
    outputs = {
        name: (
            array[tuple(slice(position[d], position[d] + 1) if d in position else slice(None)
                        for d in dims)],
            dims,
        )
        for name, (array, dims) in designs.outputs.items()
    }  # fmt: skip
    return Designs(designs.phase, axes, outputs)


def model_gain(study: Study, model: str, setting: Setting) -> np.ndarray:
    """Gain on (ISL, OSL, TTL).

    NaN where disaggregation cannot serve, infinite where only it can.
    """
    mixture = setting.mixture
    scenario = study.sweeper.scenario(Case(model, ISL[-1], OSL[0]), mixture)
    space = complete(SPACE, scenario.model, scenario.hardware, ISL[-1])
    prompt = evaluate_phase("prefill", scenario, space, ISL, OSL[:1])
    link = float(np.asarray(scenario.hardware.scaleout.bytes_per_s))
    study.count.designs += prompt.size
    ladder = 1.0 / np.asarray(TTL_S)
    gain = np.full((len(ISL), len(OSL), len(TTL_S)), np.nan)
    prefills = [thinned(prefill_candidates(slice_of(prompt, i, 0))) for i in range(len(ISL))]
    for j, osl in enumerate(OSL):
        tell(Counted(f"map of when to disaggregate, {model}", j, len(OSL), "output lengths"))
        # One output length at a time keeps the co-located grid small.
        token = evaluate_phase("decode", scenario, space, ISL, (osl,))
        both = evaluate_phase("colocated", scenario, space, ISL, (osl,))
        study.count.designs += token.size + both.size
        for i, prefill in enumerate(prefills):
            steps = slice_of(token, i, 0)
            decode = thinned(decode_candidates(steps, link))
            front = disaggregated_frontier(prefill, decode, osl, setting.ftl_s)
            table = colocated_table(slice_of(both, i, 0), steps, ladder, (setting.ftl_s,))
            metric = ("mean", "median").index(setting.ttl_metric)
            way = ("ifb", "mixed_step", "ttl_metric").index(setting.piggybacking)
            colocated = np.maximum(table[0, metric, 0], table[way, metric, 0])
            rung = on_ladder(front.ttl_s, ladder)
            disaggregated = np.append(front.output_tokens_per_s_per_gpu, 0.0)[rung]
            with np.errstate(divide="ignore", invalid="ignore"):
                gain[i, j] = np.where(disaggregated > 0.0, disaggregated / colocated, np.nan)
    return gain


def map_readings() -> list[Mixture]:
    """The base mixture and a few others."""
    known = settings()
    return [known.base.mixture, *known.mixed(READINGS)]


def gain_map(
    study: Study, models: tuple[str, ...] = MODELS, readings: int | None = None
) -> GainMap:
    """The gain for every model, lengths and TTL, in the base reading and in some others."""
    base, before = settings().base, study.count.designs
    mixtures = map_readings()[: None if readings is None else readings + 1]
    gains = np.stack([
        np.stack([model_gain(study, model, Setting(m, base.ftl_s, base.ttl_metric,
                                                   base.piggybacking)) for model in models])
        for m in mixtures
    ])  # fmt: skip
    # Never served stays unknown; served by disaggregation alone counts as a gain.
    clear = np.where(np.isnan(gains), np.nan, gains >= BOUNDARY)
    served = ~np.isnan(clear)
    votes = np.where(served, clear, 0.0).sum(axis=0) / np.maximum(served.sum(axis=0), 1)
    share = np.where(served.any(axis=0), votes, np.nan)
    finite = np.where(np.isfinite(gains), gains, np.nan)
    known = np.isfinite(finite).any(axis=0)
    least = np.where(
        known, np.nanmin(np.where(np.isfinite(finite), finite, np.inf), axis=0), np.nan
    )
    most = np.where(known, np.nanmax(np.where(np.isfinite(finite), finite, 0.0), axis=0), np.nan)
    dims = ("model", "isl", "osl", "ttl")
    units = {"units": "1"}
    data = xr.Dataset(
        {
            "gain": (dims, gains[0], units | {
                "long_name": "gain",
                "description": "Disaggregated over co-located output tokens/s/GPU under the same "
                "targets; infinite where only disaggregation serves, NaN where it does not."}),
            "gain_low": (dims, least, units | {"long_name": "least gain over the readings"}),
            "gain_high": (dims, most, units | {"long_name": "largest gain over the readings"}),
            "clear_share": (dims, share, units | {
                "long_name": "readings with a gain of 5 %",
                "description": "Fraction of the readings of the study in which the gain is at "
                "least 5 %."}),
        },
        {
            "model": list(models),
            "isl": ("isl", np.asarray(ISL), {"units": "tokens", "long_name": "ISL"}),
            "osl": ("osl", np.asarray(OSL), {"units": "tokens", "long_name": "OSL"}),
            "ttl": ("ttl", np.asarray(TTL_S), {"units": "s", "long_name": "TTL target"}),
        },
        {
            "jaxsim_version": __version__,
            "hardware": settings().hardware,
            "ftl_s": base.ftl_s,
            "boundary": BOUNDARY,
            "readings": len(mixtures),
        },
    )  # fmt: skip
    return GainMap(data, study.count.designs - before)


def map_figure(chart: GainMap) -> bytes:
    """The map as SVG: colour is the gain, the line its 5 % boundary, the band its uncertainty."""
    import matplotlib as mpl
    from matplotlib.colors import TwoSlopeNorm

    from jaxsim.view.figures.style import STYLE, image
    from jaxsim.view.study.pictures import new_figure, titled

    data = chart.dataset
    models, ttls = data.model.values, data.ttl.values
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure, axes = new_figure(
            2.9 * len(ttls) + 1.2, 2.55 * len(models) + 0.6, len(models), len(ttls),
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        norm = TwoSlopeNorm(1.0, 0.8, 2.0)
        shade = mpl.colormaps["RdBu"].with_extremes(bad="#D5D9DD")
        x, y = np.log2(data.osl.values), np.log2(data.isl.values)
        drawn: QuadMesh | None = None
        for row, model in zip(axes, models, strict=True):
            for panel, ttl in zip(row, ttls, strict=True):
                one = data.sel(model=model, ttl=ttl)
                gain = np.clip(np.where(np.isposinf(one.gain), 9.0, one.gain), 0.8, 2.0)
                drawn = panel.pcolormesh(x, y, gain, norm=norm, cmap=shade, shading="nearest",
                                        edgecolors="face", linewidths=0.4)  # fmt: skip
                share = np.nan_to_num(one.clear_share.values)
                _contour(panel, x, y, share, [0.2, 0.8], colors=BOUND, linestyles=":",
                         linewidths=1.0)  # fmt: skip
                _contour(panel, x, y, np.nan_to_num(gain, nan=0.9), [BOUNDARY], colors=BOUND,
                         linewidths=1.8)  # fmt: skip
                if panel in axes[0]:
                    panel.set_title(f"TTL ≤ {1000 * ttl:g} ms", fontsize=10.5)
                if panel in axes[-1]:
                    panel.set_xticks(x[::2], [_count(v) for v in data.osl.values[::2]])
                    panel.set_xlabel("OSL")
            row[0].set_yticks(y[::2], [_count(v) for v in data.isl.values[::2]])
            row[0].set_ylabel(f"{model}\nISL")
        if drawn is None:
            raise ValueError("a map without a panel")
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6, pad=0.01, extend="max")
        ticks = [0.8, 0.9, 1.0, 1.25, 1.5, 2.0]
        bar.set_ticks(ticks, labels=[f"{t:g}×" for t in ticks])
        titled(figure, "When to disaggregate: gain over co-located throughput")
        return image(figure, "svg")


class _Style(TypedDict):
    """How a line is drawn."""

    colors: str
    linewidths: float
    linestyles: NotRequired[str]


def _contour(
    panel: Axes,
    x: np.ndarray,
    y: np.ndarray,
    values: np.ndarray,
    levels: list[float],
    **style: Unpack[_Style],
) -> None:
    inside = [v for v in levels if values.min() < v < values.max()]
    if inside:
        panel.contour(x, y, values, levels=inside, **style)


def _count(tokens: float) -> str:
    return f"{tokens / 1024:g}k" if tokens >= 1024 else f"{tokens:g}"
