"""How well recordings of one sense find those of another: ranks, recall and precision, in NumPy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.errors import ShapeError

Labels = npt.NDArray[np.int64]
BLOCK = 1024  # queries ranked at a time


@dataclass(frozen=True)
class Retrieval:
    """Scores of queries that look for targets of their own class; shares of the queries [1].

    Attributes:
        recall_1: Nearest target is of the query's class.
        recall_5: One of the five nearest is.
        mean_precision: Mean over the queries of the average precision of the whole ranking (mAP).
    """

    recall_1: float
    recall_5: float
    mean_precision: float


def score_retrieval(similarity: npt.NDArray[Any], query: Labels, target: Labels) -> Retrieval:
    """Score every query's ranking of all targets.

    Args:
        similarity: (n_queries, n_targets); equals are ranked by the number of the target.
        query, target: Class codes, (n_queries,) and (n_targets,).

    Raises:
        ShapeError: If there is no query, a query has no target of its class, or the shapes differ.
    """
    if similarity.shape != (len(query), len(target)) or not len(query):
        raise ShapeError(
            f"retrieval: similarities {similarity.shape} of {len(query)} queries and {len(target)} targets; "
            "give one row for each query, one column for each target, and at least one query"
        )
    if missing := sorted(set(query.tolist()) - set(target.tolist())):
        raise ShapeError(
            f"retrieval: no target of class {missing[0]}, which a query looks for; leave its queries out"
        )
    hits_1 = hits_5 = 0
    precision = 0.0
    place = np.arange(1, len(target) + 1)
    for i in range(0, len(query), BLOCK):
        order = np.argsort(-similarity[i : i + BLOCK], axis=1, kind="stable")
        right = target[order] == query[i : i + BLOCK, None]
        hits_1 += int(right[:, 0].sum())
        hits_5 += int(right[:, :5].any(axis=1).sum())
        found = np.cumsum(right, axis=1)
        precision += float(((found / place * right).sum(axis=1) / found[:, -1]).sum())
    n = len(query)
    return Retrieval(hits_1 / n, hits_5 / n, precision / n)


def nearest(similarity: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Number of the most similar target of every query, the first of equals."""
    first: Labels = similarity.argmax(axis=1)
    return first


def retrieval_matrix(query: Labels, retrieved: Labels, n_classes: int) -> npt.NDArray[np.int64]:
    """How often queries of each class (rows) found a target of each class (columns)."""
    counts: Labels = np.bincount(query * n_classes + retrieved, minlength=n_classes**2)
    return counts.reshape(n_classes, n_classes)
