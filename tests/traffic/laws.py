"""A small law of step times, links and clients for tests: numbers of no machine."""

from typing import Any

import numpy as np

from jaxsim.traffic.simulate.records import Client, Law, Links

PIECES = np.array([0.0, 1000.0, 4000.0, 16000.0])


def law(slots, blocks=1e6, most=None, budget=2048.0, gain=1.0, **changed):
    """Steps of 10 ms that grow with sequences and context, passes of 4 ms and 20 µs a token."""
    count = np.arange(slots + 1)[:, None]
    slope = np.broadcast_to(1e-8 + 1e-10 * np.arange(4), (slots + 1, 4))

    def thrice(values) -> Any:
        return np.broadcast_to(values, (3, *np.shape(values))).copy()

    tokens = np.array([0.0, 64, 256, 1024, 4096, 16384])
    scalars = {
        "stretch": 1.0, "mixes": 1.0, "gain": gain, "budget": budget,
        "chunk": budget, "ranks": 1.0, "sequences": most or slots - 1, "blocks": blocks,
        "block_tokens": 16.0, "reserves": 0.0, **changed,
    }  # fmt: skip
    return Law(
        knots=thrice(PIECES),
        decode_s=thrice(0.010 + 2e-5 * count + 0.0 * PIECES),
        decode_slope=thrice(slope),
        pass_tokens=thrice(tokens),
        pass_s=thrice(0.004 + 2e-5 * tokens),
        pass_slope=thrice(np.full(6, 1e-9)),
        **{name: thrice(float(value)) for name, value in scalars.items()},
    )


def links(**changed):
    """Links of 10 M tokens/s, streamed."""
    values = {
        "token_s": 1e-7, "segment_s": 0.0, "segment_tokens": 64.0, "out_frac": 1.0,
        "in_frac": 1.0, "streamed": 1.0, "layers": 60.0, "setup_s": 1e-4, **changed,
    }  # fmt: skip
    numbers: dict[str, Any] = {name: np.float64(value) for name, value in values.items()}
    return Links(**numbers)


def client(**changed):
    """Patient clients of an open loop."""
    values = {
        "users": 0, "think_s": 0.0, "patience_s": np.inf, "backoff_s": 1.0, "retries": 0,
        "load_token_s": 0.0, "host_blocks": 0.0, "prefix_tokens": 512.0, "overlap_weight": 1.0,
        **changed,
    }  # fmt: skip
    whole = ("users", "retries")
    numbers: dict[str, Any] = {
        name: np.int32(value) if name in whole else np.float64(value)
        for name, value in values.items()
    }
    return Client(**numbers)
