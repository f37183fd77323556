"""How fast is a prompt's cache sent from one pool to the other?"""

import jax
import numpy as np

from jaxsim._scalar import Scalar
from jaxsim.catalog.cache_transfers import Moves, moves
from jaxsim.catalog.scenario import Scenario
from jaxsim.point.forward import layers_of
from jaxsim.point.ranks import Ranks
from jaxsim.point.transfer import distinct_shards, kv_bytes_of
from jaxsim.space.program.interpret import at_many
from jaxsim.traffic.simulate.records import Links, of_numpy
from jaxsim.traffic.simulate.step_times import RoleLaw


def links_of(
    prefill: RoleLaw,
    decode: RoleLaw,
    *,
    streamed: bool = True,
    setup_s: float | None = None,
    bytes_per_s: float | None = None,
    reshaped: bool = False,
) -> Links:
    """The links between two pools; see `links_between`."""
    return links_between(
        prefill.scenario, prefill.ranks, decode.ranks,
        streamed=streamed, setup_s=setup_s, bytes_per_s=bytes_per_s, reshaped=reshaped,
    )  # fmt: skip


def _held(points: tuple[Scenario, tuple[Ranks, Ranks]]) -> tuple[Scalar, ...]:
    """Bytes of a prompt's cache, layers, and by side the GPUs that hold distinct parts of it."""
    scenario, both = points
    kind = scenario.model.groups[0].attention
    sides = (distinct_shards(kind, ranks.tp) * ranks.pp for ranks in both)
    return kv_bytes_of(scenario, scenario.workload.isl), layers_of(scenario), *sides


def links_between(
    scenario: Scenario,
    prefill: Ranks,
    decode: Ranks,
    *,
    streamed: bool = True,
    setup_s: float | None = None,
    bytes_per_s: float | None = None,
    reshaped: bool = False,
    measured: Moves | None = None,
) -> Links:
    r"""The links between two pools: $t = t_0 + \text{bytes} / (f\,W\,n) + n_{seg}\,t_{seg}$.

    Each of n GPUs that hold distinct cache sends its part over its own link of W bytes/s, of which
    transfers reach the fraction f; $t_0$ and f are `measured`. Between unlike widths the wider
    side's parts set how many segments there are; `reshaped` sends each GPU's part as one.
    `bytes_per_s` is of a GPU's link where it is not the hardware's, `setup_s` in place of $t_0$.
    """
    measured = measured or moves()
    options, network = scenario.options, scenario.hardware.scaleout
    line = float(network.bytes_per_s) if bytes_per_s is None else bytes_per_s
    rate = measured.line_frac * line
    points = jax.tree.map(np.asarray, (scenario, (prefill, decode)))
    cache, layers, *sides = map(float, at_many(_held, points))
    dp = [float(ranks.attention_dp) for ranks in (prefill, decode)]
    per_token = cache / float(scenario.workload.isl) / float(options.kv_compression)
    pipes = min(sides)
    parts = max(sides) / pipes
    blocks = 1.0 if reshaped else layers / float(prefill.pp) * parts
    tokens = 1e9 if reshaped else float(options.kv_block_tokens)
    values = {
        "token_s": per_token / (pipes * rate),
        "segment_s": blocks * float(options.kv_segment_s),
        "segment_tokens": tokens,
        "out_frac": pipes / (sides[0] * dp[0]),
        "in_frac": pipes / (sides[1] * dp[1]),
        "streamed": float(streamed),
        "layers": layers,
        "setup_s": measured.setup_s if setup_s is None else setup_s,
    }
    return of_numpy(Links, **{name: np.float64(value) for name, value in values.items()})
