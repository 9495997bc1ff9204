"""What the report of a zero-shot run draws: the common space, and queries with what they found."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.events.types import Binned
from neurosim.readout.contrastive import Trained
from neurosim.readout.retrieval import nearest
from neurosim.zero_shot.scores import Pair
from neurosim.zero_shot_results import EmbeddingMap, Found

MAX_MAPPED = 600  # recordings of a sense in the map


def embedding_map(trained: Trained, test: Pair, seed: int) -> EmbeddingMap:
    """Embeddings of the test part in two dimensions: by UMAP if installed, else by principal components."""
    draw = rng.stream(seed, "zero_shot/map")
    few = [draw.permutation(len(side.y))[:MAX_MAPPED] for side in test]
    points = [p(side.x[rows]) for p, side, rows in zip((trained.a, trained.b), test, few, strict=True)]
    joined = np.concatenate(points)
    is_query = np.repeat([True, False], [len(p) for p in points])
    label = np.concatenate([side.y[rows] for side, rows in zip(test, few, strict=True)])
    try:
        from umap import UMAP
    except ImportError:
        centred = joined - joined.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        return EmbeddingMap(
            "principal components", (centred @ axes[:2].T).astype(np.float32), label, is_query
        )
    metric = "cosine" if trained.a.unit else "euclidean"
    xy = UMAP(metric=metric, random_state=0).fit_transform(joined)
    return EmbeddingMap("UMAP", np.asarray(xy, np.float32), label, is_query)


def examples(
    trained: Trained,
    test: Pair,
    binned: Sequence[Binned],
    classes: Sequence[str],
    unseen: list[int],
    n: int,
) -> tuple[Found, ...]:
    """The first queries of ``n`` classes, unseen ones first, and the targets they found."""
    a, b = test
    order = [*unseen, *(c for c in range(len(classes)) if c not in unseen)][:n]
    found = []
    for code in order:
        i = int(np.flatnonzero(a.y == code)[0])
        pool = np.flatnonzero(np.isin(b.y, unseen) == (code in unseen))
        j = int(pool[nearest(trained.similarity(a.x[i : i + 1], b.x[pool]))[0]])
        found.append(
            Found(
                query=_picture(binned[0], i),
                target=_picture(binned[1], j),
                query_class=classes[code],
                target_class=classes[b.y[j]],
                seen=code not in unseen,
            )
        )
    return tuple(found)


def _picture(binned: Binned, index: int) -> npt.NDArray[np.float32]:
    """Events per pixel of all polarities; of a row of channels, channels by steps."""
    frames = binned.dense(index).astype(np.float32)
    sensor = binned.sensor
    if sensor.height == 1:
        return np.ascontiguousarray(frames.T)
    pixels: npt.NDArray[np.float32] = frames.sum(axis=0).reshape(sensor.height, sensor.width, -1).sum(axis=2)
    return pixels
