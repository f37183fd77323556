"""Where does a fit start, and how far may each constant move?

For every family: the constants that are fitted, with a start and the range allowed; and those that
are held. Starts are round numbers of current accelerators. Ranges keep a constant that the rows
say nothing about from running away; a fit that ends on one is reported.
"""

from dataclasses import dataclass, field

from jaxsim.catalog._calibration_kinds import SCALELESS, SELECTED, STATE_KINDS

Range = tuple[float, float, float]  # start, lowest, highest


@dataclass(frozen=True)
class Start:
    """Starts and ranges of the fitted constants of a family, and the values of the held ones."""

    free: dict[str, Range]
    held: dict[str, float] = field(default_factory=dict)


_TILE = {
    "peak_frac": (0.6, 0.02, 1.0),
    "pad_power": (2.0, 1.0, 8.0),
    "tile_s": (5e-7, 1e-9, 1e-4),
    "wave_power": (2.0, 1.0, 8.0),
    "hbm_frac": (0.8, 0.1, 1.0),
    "overlap_power": (2.0, 1.0, 8.0),
}
_GEMM = Start(
    {
        **_TILE,
        "launch_s": (5e-6, 2e-7, 1e-3),
        "tile_rows": (64.0, 16.0, 512.0),
        "walk_s": (1e-9, 1e-12, 1e-6),
        "split_inputs": (4096.0, 256.0, 1e6),
        "split_power": (0.5, 0.05, 1.0),
        "spill_frac": (0.3, 1e-3, 3.0),
        "spill_bytes": (3e8, 1e6, 1e11),
        "quantise_passes": (1.0, 1e-3, 30.0),
    },
    {"tile_outputs": 128.0},
)
_ABSORB = Start(
    {
        **_GEMM.free,
        "cache_bytes": (8e7, 1e6, 5e8),
        "cache_share": (0.3, 0.02, 1.0),
    },
    {**_GEMM.held, "cache_power": 8.0},
)
_EXPERTS = Start(
    {
        **{name: span for name, span in _TILE.items() if name != "wave_power"},
        "launch_s": (2e-5, 1e-6, 1e-3),
        "expert_s": (1e-7, 1e-10, 1e-5),
        "choice_s": (1e-7, 1e-10, 1e-5),
        "pick_s": (5e-10, 1e-13, 1e-7),
        "token_bytes": (6.0, 0.05, 200.0),
        "copy_bytes": (6.0, 0.05, 200.0),
        "tile_low": (16.0, 1.0, 256.0),
        "tile_rows": (64.0, 8.0, 256.0),
        "tile_power": (2.0, 1.0, 8.0),
        "walk_s": (1e-9, 1e-12, 1e-6),
        "row_walk_s": (1e-11, 1e-14, 1e-8),
    },
    {"tile_outputs": 128.0},
)
_CONTEXT = Start(
    {
        **_TILE,
        "launch_s": (1e-5, 1e-6, 1e-3),
        "tile_queries": (128.0, 32.0, 512.0),
        "edge_keys": (64.0, 1.0, 2000.0),
        "window_keys": (64.0, 1.0, 2000.0),
        "softmax_dims": (50.0, 1.0, 500.0),
        "tail": (2.0, 0.05, 8.0),
    },
    {"token_bytes": 0.0},
)
_DECODE = Start(
    {
        **_TILE,
        # Rows of one chip hardly tell arithmetic from memory here. That it reaches a quarter of its
        # peak keeps long caches bound by memory, as they are on chips that differ in it alone.
        "peak_frac": (0.5, 0.25, 1.0),
        "launch_s": (8e-6, 1e-6, 1e-3),
        "tile_queries": (16.0, 1.0, 256.0),
        "tile_keys": (128.0, 8.0, 512.0),
        "edge_keys": (32.0, 1.0, 1000.0),
        "walk_s": (3e-8, 1e-13, 1e-6),
        "split_keys": (400.0, 8.0, 1e5),
        "split_power": (0.5, 0.05, 1.0),
        "cache_bytes": (6e7, 1e6, 5e8),
        "cache_share": (0.2, 0.02, 1.0),
        "query_bytes": (4.0, 0.05, 200.0),
        "share_power": (0.3, 0.01, 1.0),
        "narrow_s": (1e-5, 1e-8, 1e-2),
    },
    {"key_power": 8.0, "cache_power": 8.0, "row_s": 0.0},
)
_STREAM = Start({"launch_s": (2e-6, 1e-7, 1e-4), "hbm_frac": (0.7, 0.05, 1.0)})
# Across domains nothing here is measured in volume: two sends a hop, at four fifths of the link,
# within what DeepEP reports over RDMA (43 to 58 of 50 GB/s nominal, its own traffic included).
_ACROSS = {"across_hops": 2.0, "across_frac": 0.8}
_MESSAGE = Start(
    {
        "launch_s": (5e-6, 1e-7, 1e-3),
        "hops": (0.3, 0.01, 30.0),
        "ring_hops": (0.1, 1e-3, 30.0),
        "eager_frac": (0.3, 0.005, 1.0),
        "setup_s": (1e-5, 1e-8, 1e-2),
        "link_frac": (0.75, 0.02, 1.0),
        "switch_power": (3.0, 1.0, 8.0),
    },
    {**_ACROSS, "piece_s": 0.0, "own_passes": 0.0},
)


def _holding(start: Start, held: dict[str, float], **free: Range) -> Start:
    """A start with some constants held instead, and other ranges for some."""
    kept = {name: span for name, span in start.free.items() if name not in held}
    still = {name: value for name, value in start.held.items() if name not in free}
    return Start({**kept, **free}, {**still, **held})


_NO_RING = _holding(_MESSAGE, {"ring_hops": 0.0})  # straight from every rank to every other
_RING = _holding(_MESSAGE, {}, own_passes=(0.5, 1e-3, 10.0))
STARTS: dict[str, Start] = {
    "gemm": _GEMM,
    "absorb": _ABSORB,
    "experts": _EXPERTS,
    "context": _CONTEXT,
    # Over a latent cache, nothing was measured with a window, nor more than one width.
    "context_latent": _holding(_CONTEXT, {"window_keys": 0.0}, token_bytes=(4000.0, 10.0, 1e5)),
    "decode": _DECODE,
    "decode_latent": _holding(
        _DECODE,
        {"edge_keys": 0.0, "narrow_s": 0.0},
        tile_queries=(64.0, 4.0, 256.0),
        row_s=(2e-8, 1e-11, 1e-6),
    ),
    "stream": _STREAM,
    "all_reduce": _NO_RING,
    "all_gather": _RING,
    "reduce_scatter": _RING,
    "all_to_all": _holding(_NO_RING, {}, piece_s=(5e-9, 1e-12, 1e-7)),
    "send_recv": _NO_RING,
}
_SCANS = {
    kind: Start(
        {
            "launch_s": (5e-6, 1e-6, 1e-3),
            "peak_frac": (0.05, 1e-3, 1.0),
            "walk_s": (1e-6, 1e-9, 1e-3),
            "hbm_frac": (0.7, 0.05, 1.0),
            "overlap_power": (2.0, 1.0, 8.0),
        }
    )
    for kind in ("delta_step", "delta_scan", "kda_step", "kda_scan")
}
_CONVOLUTION = Start(
    {
        "launch_s": (5e-6, 1e-6, 1e-3),
        "hbm_frac": (0.5, 0.05, 1.0),
        "channel_s": (1e-10, 1e-14, 1e-8),
    }
)
# A selecting layer's memory runs at four fifths of its peak: decode and prompts of one table hardly
# tell the bandwidth from the rate at which keys are gathered.
_SELECTING = {
    f"{family}_{phase}": Start(
        {
            "launch_s": (2e-5, 1e-6, 1e-3),
            "select_s": (1e-5, 1e-8, 1e-3),
            "index_frac": (0.3, 0.005, 1.0),
            "score_bytes": (8.0, 0.01, 400.0),
            "walk_s": (1e-10, 1e-13, 1e-7),
            "peak_frac": (0.4, 0.01, 1.0),
            "slot_share": (0.1, 1e-3, 1.0),
            "tile_heads": (16.0, 1.0, 128.0),
            "gather_ratio": (1.0, 0.05, 8.0),
            "query_bytes": (4.0, 2.0, 300.0),
            "widen_passes": (0.15, 1e-3, 100.0),
        },
        {"index_s": 0.0, "hbm_frac": 0.8, "pad_power": 4.0, "overlap_power": 3.0},
    )
    for family in SELECTED
    for phase in ("decode", "context")
}
_COMPRESSED = {  # both kinds of layers of DeepSeek-V4, with an indexer and without
    # Caches of 8 bits alone were measured, and are multiplied as they are.
    kind: _holding(
        _SELECTING[kind], {"select_s": 0.0, "widen_passes": 0.0}, index_s=(1e-5, 1e-8, 1e-3)
    )
    for kind in ("compressed_decode", "compressed_context")
}
STARTS.update(_SCANS | _SELECTING | _COMPRESSED)
STARTS.update(convolution=_CONVOLUTION, hyper=_STREAM)
ARITHMETIC = {
    "nvfp4": "fp4",
    "mxfp4": "bf16",
    "int4": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "bf16": "bf16",
    "any": "",
}


def arithmetic_of(kind: str, number_format: str) -> str:
    """Which peak a fit is relative to; a latent cache of 8 bits is computed on in bf16."""
    if kind.startswith("compressed"):  # caches of 8 bits alone were measured
        return "fp8"
    if kind in ("decode_latent", *STATE_KINDS):
        return "" if STATE_KINDS.get(kind) in SCALELESS else "bf16"
    return ARITHMETIC[number_format]
