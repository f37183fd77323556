"""How do several processes share the blocks of a grid?

Of n processes each evaluates every n-th block; all of them gather all results. Started by
`jax.distributed.initialize`; with one process nothing is sent. What is sent are arrays, and
nothing that could be run.
"""

import io
from typing import TypeVar

import jax
import numpy as np

Job = TypeVar("Job")


def own_share(jobs: list[Job]) -> list[Job]:
    """The jobs of this process, among all processes.

    Where there are more processes than jobs, those without one do the first again, for its form.
    """
    return jobs[jax.process_index() :: jax.process_count()] or jobs[:1]


def from_all(own: list[Job], jobs: int) -> list[Job]:
    """The results of all processes, in the order of all `jobs`; every process must call it.

    A result is a pytree of arrays and numbers, of one structure for all jobs.
    """
    count = jax.process_count()
    if count == 1 or not jobs:
        return own
    from jax.experimental import multihost_utils

    mine = np.frombuffer(_packed(own), np.uint8)
    lengths = np.asarray(multihost_utils.process_allgather(np.array(mine.size, np.int32)))
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: mine.size] = mine
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(count, -1)
    parts = [
        _unpacked(row[:n].tobytes(), own[0]) for row, n in zip(rows, lengths.ravel(), strict=True)
    ]
    return [parts[place % count][place // count] for place in range(jobs)]


def _packed(results: list[Job]) -> bytes:
    content = io.BytesIO()
    leaves = [jax.tree.leaves(one) for one in results]
    named = {f"{i} {j}": np.asarray(x) for i, own in enumerate(leaves) for j, x in enumerate(own)}
    np.savez(content, allow_pickle=False, **named)
    return content.getvalue()


def _unpacked(content: bytes, like: Job) -> list[Job]:
    """Results of the structure of `like`, whose numbers are numbers again."""
    form, kinds = jax.tree.structure(like), [np.ndim(x) for x in jax.tree.leaves(like)]
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        each = len(held.files) // form.num_leaves
        return [
            jax.tree.unflatten(
                form,
                [
                    held[f"{i} {j}"] if ndim else held[f"{i} {j}"].item()
                    for j, ndim in enumerate(kinds)
                ],
            )
            for i in range(each)
        ]
