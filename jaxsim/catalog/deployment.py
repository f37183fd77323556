"""How is a model laid out on GPUs?"""

from jaxsim._record import Record
from jaxsim._scalar import Scalar


class Deployment(Record):
    """One design: the widths of its parallelism, and how many tokens it works on at once.

    A stage is `max(tp, ep)` GPUs and an instance `pp` stages. Attention runs data parallel over
    `width / tp` ranks, and an expert is split over `width / ep` GPUs. `batch` counts the requests
    of an instance, `chunk` the prompt tokens of one rank in one pass: a part of a prompt, or, where
    prompts and decoding share an instance, several whole ones.
    """

    tp: Scalar
    ep: Scalar
    pp: Scalar
    batch: Scalar
    chunk: Scalar
