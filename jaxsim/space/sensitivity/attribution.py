"""What is the time spent on?  Every part of a pass, split by the resource it waits for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.setup import Setup
from jaxsim.catalog.workload import Workload
from jaxsim.quantities import PARTS
from jaxsim.space.designs import PHASES
from jaxsim.space.gradient.derivative import slopes_of
from jaxsim.space.sensitivity.elasticity import points_on_axes

# Resources, and the inputs whose unit of time makes them one: rates, and seconds.
RESOURCES: dict[str, str] = {
    "FP4 arithmetic": r"hardware\.chip\.peak\.fp4_flop_per_s",
    "FP8 arithmetic": r"hardware\.chip\.peak\.fp8_flop_per_s",
    "BF16 arithmetic": r"hardware\.chip\.peak\.bf16_flop_per_s",
    "HBM": r"hardware\.chip\.hbm_bytes_per_s",
    "scale-up": r"hardware\.scaleup\.\w+|kernels\.\w+\.setup_s",
    "scale-out": r"hardware\.scaleout\.\w+|options\.kv_segment_s",
    "launch": r"kernels\.\w+\.launch_s",
    "kernel latency": r"kernels\.\w+\.\w+_s",
    "engine": r"engine\.\w+_s",
}


@dataclass(frozen=True)
class Attribution:
    """Seconds of a pass at `n` designs by part and resource, [n, parts, resources].

    They sum to the time of the pass: a decode or co-located step, or all passes of a prompt.
    """

    phase: str
    parts: tuple[str, ...]
    resources: tuple[str, ...]
    seconds: np.ndarray

    @property
    def by_resource(self) -> np.ndarray:
        """Shares of the time by resource, [n, resources]."""
        total = self.seconds.sum(axis=(1, 2))
        return self.seconds.sum(axis=1) / total[:, None]


def resource_of(path: str) -> str | None:
    """The resource that an input is the rate or the latency of."""
    names = (name for name, inputs in RESOURCES.items() if re.fullmatch(inputs, path))
    return next(names, None)


def attribution(
    phase: str, setup: Setup, workload: Workload, designs: Deployment, mode: str = ""
) -> Attribution:
    r"""The time of every part of a pass by resource, at designs of one phase.

    A time t is homogeneous in what is measured in seconds: with all rates R k times as large and
    all latencies L divided by k it is t / k. So by Euler's theorem it is exactly the sum of what
    each is worth at the margin,

    $$ t = \sum_L L\,\frac{\partial t}{\partial L} - \sum_R R\,\frac{\partial t}{\partial R} $$

    and a kernel near its ridge is shared between arithmetic and memory as it depends on them.
    """
    prefix = f"{mode}_" if mode else ""
    outputs = tuple(f"{prefix}{part}_s" for part in PARTS)
    listed = points_on_axes(phase, workload, designs)
    slopes = slopes_of(PHASES[phase], setup.scenario(workload), listed, outputs)
    names = tuple(RESOURCES)
    seconds = np.zeros((np.size(designs.batch), len(PARTS), len(names)))
    for row, output in enumerate(outputs):
        for path, slope in slopes.slopes[output].items():
            resource = resource_of(path)
            if resource is not None:
                sign = -1.0 if path.endswith("_per_s") else 1.0
                own = sign * slope * slopes.numbers[path]
                seconds[:, row, names.index(resource)] += own
    return Attribution(phase, PARTS, names, seconds)


def used(attributions: Sequence[Attribution]) -> list[str]:
    """The resources that take any time, in order."""
    return [
        name
        for i, name in enumerate(RESOURCES)
        if any(one.seconds[:, :, i].max(initial=0.0) > 0.0 for one in attributions)
    ]
