"""What are the GPUs that encode images beside the pools?  A record only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Encoders:
    """`count` GPUs that each encode the images of one prompt at a time, for `latency_s`."""

    hardware: str
    count: int
    latency_s: float
    requests_per_s: float
    weights_bytes: float
