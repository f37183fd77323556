"""Which measured launches contradict others of the same table?

A benchmark that lets a library tune itself sometimes times its fallback: a whole split of a model
over ranks then takes several times what larger pieces of the same model take. No form that is
monotone in work can agree with both. Launches are compared with one another, never with a
prediction.
"""

from collections.abc import Sequence

import numpy as np

SLOWER = 1.25  # times a launch that does at least as much work: more than repeats differ by
WHOLE = 0.1  # contradicting launches of a split that make all of it doubtful


def doubtful_rows(
    seconds: np.ndarray,
    more: Sequence[np.ndarray],
    less: Sequence[np.ndarray],
    model: np.ndarray,
    split: np.ndarray,
    judges: np.ndarray,
) -> np.ndarray:
    """Launches that took `SLOWER` times as long as one of the `judges` that does as much or more.

    Launches of one `model` are compared: one does as much as another where each dimension of `more`
    (tokens) is as large and each of `less` (ranks) as small. Where more than `WHOLE` of the
    launches of a `split` contradict, all of them are doubtful.
    """
    doubtful = np.zeros(len(seconds), dtype=bool)
    for one in np.unique(model):
        index = np.flatnonzero(model == one)
        doubtful[index] = _contradicts(
            seconds[index],
            [-column[index] for column in more] + [column[index] for column in less],
            judges[index],
        )
    for one in np.unique(split):
        index = np.flatnonzero(split == one)
        if doubtful[index].mean() > WHOLE:
            doubtful[index] = True
    return doubtful


def _contradicts(
    seconds: np.ndarray, ascending: list[np.ndarray], judges: np.ndarray
) -> np.ndarray:
    """Against the fastest judge at or before a launch along every axis."""
    places = [np.unique(column, return_inverse=True) for column in ascending]
    at = tuple(place for _, place in places)
    fastest = np.full([len(values) for values, _ in places], np.inf)
    np.minimum.at(fastest, tuple(place[judges] for place in at), seconds[judges])
    for axis in range(fastest.ndim):
        fastest = np.minimum.accumulate(fastest, axis)
    return seconds > SLOWER * fastest[at]
