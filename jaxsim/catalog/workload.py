"""What does a deployment serve?  Request lengths, cache hits, speculation."""

from dataclasses import dataclass

from jaxsim._record import Record
from jaxsim._scalar import Scalar


class Workload(Record):
    """Requests of `isl` prompt tokens and `osl` output tokens.

    `hit_frac` of the prompt is found in a prefix cache. With speculative decoding,
    `draft_tokens` are proposed a step and each is accepted with probability `accept_frac`, given
    that all before it were. `imbalance` is the load of the busiest expert rank over the mean load
    that uniform routing gives it. A prompt has `images`, whose tokens are part of `isl`.

    >>> jaxsim.Workload(isl=1024, osl=128, hit_frac=0.5).images
    0.0
    """

    isl: Scalar
    osl: Scalar
    hit_frac: Scalar = 0.0
    draft_tokens: Scalar = 0.0
    accept_frac: Scalar = 0.0
    imbalance: Scalar = 1.0
    images: Scalar = 0.0


@dataclass(frozen=True)
class Share:
    """One workload of a mix, and its share of all requests: of any size, only ratios matter.

    >>> chat = jaxsim.Share(jaxsim.Workload(isl=1024, osl=128), share=3.0)
    >>> chat.workload.isl, chat.share
    (1024, 3.0)
    """

    workload: Workload
    share: float
