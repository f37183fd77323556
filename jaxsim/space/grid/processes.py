"""How do several processes share the blocks of a grid?

Of n processes each evaluates every n-th block; all of them gather all results. Started by
`jax.distributed.initialize`; with one process nothing is sent.
"""

import pickle
from typing import TypeVar

import jax
import numpy as np

Job = TypeVar("Job")


def own_share(jobs: list[Job]) -> list[Job]:
    """The jobs of this process, among all processes."""
    return jobs[jax.process_index() :: jax.process_count()]


def from_all(found: list[Job]) -> list[Job]:
    """The results of all processes, in the order of the jobs; every process must call it."""
    count = jax.process_count()
    if count == 1:
        return found
    from jax.experimental import multihost_utils

    mine = np.frombuffer(pickle.dumps(found), np.uint8)
    lengths = np.asarray(multihost_utils.process_allgather(np.array(mine.size, np.int32)))
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: mine.size] = mine
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(count, -1)
    parts = [pickle.loads(row[:n].tobytes()) for row, n in zip(rows, lengths.ravel(), strict=True)]
    whole: dict[int, Job] = {}
    for i, part in enumerate(parts):
        whole |= {i + count * k: one for k, one in enumerate(part)}
    return [whole[place] for place in range(len(whole))]
