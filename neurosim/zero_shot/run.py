"""From two senses to a result: both liquids of every chip, all projections, seen and unseen recall."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from neurosim import rng, store
from neurosim.array import Cost, compare, count_operations, macro_cost
from neurosim.cards import list_cards, load_platform
from neurosim.config import fingerprint
from neurosim.errors import ExperimentError
from neurosim.events.types import Binned
from neurosim.experiment import (
    PACKAGES,
    PARTS,
    Clock,
    Encoded,
    Part,
    Prepared,
    Progress,
    encode,
    package_version,
    prepare,
    resolve,
)
from neurosim.readout.contrastive import Projection, Recordings, Trained
from neurosim.readout.retrieval import nearest, retrieval_matrix, score_retrieval
from neurosim.reservoir.states import Engine
from neurosim.results import Interval, accuracy_interval
from neurosim.zero_shot.config import ZeroShot, unseen_choices
from neurosim.zero_shot_results import (
    Choice,
    Choices,
    EmbeddingMap,
    Found,
    PaperScores,
    Scores,
    ZeroShotResult,
    jackknife,
)

Sense = Literal["query", "target"]
SENSES: tuple[Sense, Sense] = ("query", "target")
Pair = tuple[Recordings, Recordings]
SIDE_BY_SIDE = 80  # projections trained in one batch: bounds memory
MAX_MAPPED = 600  # recordings of a sense in the map


@dataclass(frozen=True, eq=False)
class _Read:
    """One chip: both senses' states of every part, and what they were read with."""

    encoded: tuple[Encoded, Encoded]
    parts: dict[Part, Pair]


@dataclass(frozen=True)
class _Hits:
    """Recalls of one pair of projections on the test part."""

    seen: float
    unseen: float
    unseen_among_all: float


def run_zero_shot(
    config: ZeroShot,
    *,
    data_dir: Path | None = None,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> ZeroShotResult:
    """Run a zero-shot experiment on all its chips.

    Chip k is two device instances, 2k for the query's liquid and 2k + 1 for the target's. Thresholds adapt
    without labels on recordings of the named seen classes alone. Validation recordings of the classes that
    a pair of projections may see choose its epoch; the test part is read once, and by the authors' protocol,
    which looks at it after every epoch and is reported apart.

    Args:
        config: What to run.
        data_dir: Folder of the data sets; None is ``datasets.data_dir()``.
        engine: Engine of the spiking dynamics.
        progress: Called as stages advance.

    Raises:
        NeurosimError: If a card, a data set or the experiment is wrong; says what to do.
    """
    show = progress or (lambda _stage, _done, _total: None)
    clock = Clock()
    classes = (*config.classes.seen, *config.classes.unseen)
    prepared = {sense: _prepare(config, sense, classes, data_dir, show) for sense in SENSES}
    resolved = _resolve(config)
    clock.lap("events")
    splits = [[classes.index(name) for name in unseen] for unseen in unseen_choices(config)]
    every: dict[bool, list[list[list[_Hits]]]] = {False: [], True: []}  # ideal: chip: split: repeat
    kept: dict[bool, list[_Named]] = {False: [], True: []}
    reads: list[_Read] = []
    paper: list[PaperScores] = []
    for number in range(config.chips):
        for ideal in (False, True) if config.compare_ideal else (False,):
            what = f"chip {number}{', ideal' if ideal else ''}"
            read = _encode(config, prepared, number, ideal, engine, show)
            clock.lap("liquids")
            trained = _train(config, read, splits, number, f"{what}: projections", show)
            hits = [
                [_score(t, read.parts["test"], unseen) for t in repeats]
                for unseen, repeats in zip(splits, trained, strict=True)
            ]
            every[ideal].append(hits)
            kept[ideal].append(_named(trained[0], read.parts["test"], splits[0], len(classes)))
            clock.lap("projections")
            if not ideal:
                reads = reads or [read]
                if config.paper:
                    paper.append(_authors(config, read, splits[0], number, what, show))
                    clock.lap("authors' protocol")
    test, first = reads[0].parts["test"], kept[False][0].trained[0]
    n_unseen = int(np.isin(test[0].y, splits[0]).sum())
    sizes = {"seen": len(test[0].y) - n_unseen, "unseen": n_unseen}
    hardware = _summary(config, classes, splits, every[False], kept[False], sizes)
    ideal_scores = _summary(config, classes, splits, every[True], kept[True], sizes) if every[True] else None
    chosen = [named.trained for named in kept[False]]
    return ZeroShotResult(
        name=config.name,
        fingerprint=fingerprint(resolved, [prepared[sense].content for sense in SENSES]),
        experiment=resolved,
        versions={name: package_version(name) for name in PACKAGES},
        query=config.query.name,
        target=config.target.name,
        classes=classes,
        n_seen=len(config.classes.seen),
        chance=_chance(test, splits[0]),
        counts={s: {part: len(prepared[s].binned[part]) for part in PARTS} for s in SENSES},
        n_queries=sizes,
        hardware=hardware,
        ideal=ideal_scores,
        paper=_joined(paper) if paper else None,
        validation=tuple(float(np.mean([t.validation_score for t in one])) for one in chosen),
        epochs=tuple(tuple(t.epoch for t in one) for one in chosen),
        map=_map(first, test, config.seed),
        found=_examples(config, first, test, prepared, classes, splits[0]),
        training=_training(reads[0], first, config),
        **_costs(reads[0], first),
        seconds=clock.seconds(),
    )


def training_cost(encoder: float, projection: float, epochs: float) -> dict[str, float]:
    """Multiplications of training for one pair of recordings, dense.

    A random liquid is simulated once and its projections are trained for E epochs, a backward pass being two
    forward passes; a trained encoder is simulated and differentiated at every epoch:

        random   F + 3 E P
        trained  3 E (F + P)

    Args:
        encoder: F, those of both encoders for one pair.
        projection: P, those of both projections.
        epochs: E.

    Assumes: the same encoders and epochs; steps in which nothing is active count, as on a GPU.
    Source: counting; with the sizes of Lin et al. it comes near their 152.83 and 393.07, see
        benchmarks/studies/paper_cost.py for what that does and does not show.
    """
    random = encoder + 3 * epochs * projection
    trained = 3 * epochs * (encoder + projection)
    return {
        "encoder": encoder,
        "projection": projection,
        "epochs": epochs,
        "random": random,
        "trained": trained,
        "ratio": trained / random,
    }


# ---- recordings ------------------------------------------------------------------------------------


def _resolve(config: ZeroShot) -> dict[str, Any]:
    """The experiment as plain data, the cards of both senses inlined."""
    both = [resolve(config.experiment(getattr(config, sense))) for sense in SENSES]
    resolved = config.model_dump(mode="json", by_alias=True)
    for stage in ("device", "array"):
        resolved[stage] = both[0][stage]
    datasets = {card["name"]: card for one in both for card in one["cards"]["datasets"]}
    resolved["cards"] = both[0]["cards"] | {"datasets": [datasets[name] for name in sorted(datasets)]}
    return resolved


def _prepare(
    config: ZeroShot, sense: Sense, classes: Sequence[str], data_dir: Path | None, progress: Progress
) -> Prepared:
    """Recordings of the protocol's classes of one sense, labelled by their place in ``classes``.

    The training part comes in random order, the named seen classes first: homeostasis takes its recordings
    from the beginning.
    """
    side = getattr(config, sense)

    def show(stage: str, done: int, total: int) -> None:
        progress(f"{sense}, {stage}", done, total)

    whole = prepare(config.experiment(side), data_dir=data_dir, progress=show)
    names = whole.binned["train"].classes
    if missing := [name for name in classes if name not in names]:
        raise ExperimentError(
            f"classes: {sense}.data has no class '{missing[0]}'; its classes are {', '.join(names)}"
        )
    code = np.full(len(names), -1)
    for new, name in enumerate(classes):
        code[names.index(name)] = new
    binned: dict[Part, Binned] = {}
    chosen: dict[Part, Any] = {}
    for part in PARTS:
        labels = code[whole.binned[part].labels]
        rows = np.flatnonzero(labels >= 0)
        if part == "train":
            rows = rng.stream(config.seed, f"zero_shot/{sense}/order").permutation(rows)
            rows = rows[np.argsort(labels[rows] >= len(config.classes.seen), kind="stable")]
        if absent := sorted(set(range(len(classes))) - set(labels[rows].tolist())):
            raise ExperimentError(
                f"{sense}.data.{part} has no recording of class '{classes[absent[0]]}'; raise its n"
            )
        binned[part] = replace(whole.binned[part][rows], labels=labels[rows], classes=tuple(classes))
        chosen[part] = store.digest(rows)
    return replace(whole, binned=binned, content=fingerprint(whole.content, chosen, list(classes)))


def _encode(
    config: ZeroShot,
    prepared: dict[Sense, Prepared],
    number: int,
    ideal: bool,
    engine: Engine,
    show: Progress,
) -> _Read:
    """States of both senses of one chip."""
    encoded = []
    for k, sense in enumerate(SENSES):

        def renamed(stage: str, done: int, total: int, sense: Sense = sense) -> None:
            show(
                f"chip {number}{', ideal' if ideal else ''}: {sense}, {stage.rpartition(': ')[2]}",
                done,
                total,
            )

        side = config.experiment(getattr(config, sense), ideal=ideal)
        encoded.append(encode(side, prepared[sense], number=2 * number + k, engine=engine, progress=renamed))
    a, b = encoded
    parts = {
        part: (
            Recordings(a.states[part], prepared["query"].binned[part].labels),
            Recordings(b.states[part], prepared["target"].binned[part].labels),
        )
        for part in PARTS
    }
    return _Read((a, b), parts)


# ---- training --------------------------------------------------------------------------------------


def _train(
    config: ZeroShot, read: _Read, splits: list[list[int]], number: int, stage: str, show: Progress
) -> list[list[Trained]]:
    """Projections of every split and repeat, (splits, repeats)."""
    from neurosim.readout.contrastive_training import Task, train_side_by_side

    every = np.unique(read.parts["test"][0].y)
    tasks = [
        Task(np.setdiff1d(every, unseen), _seed(config, number, repeat))
        for unseen in splits
        for repeat in range(config.repeats)
    ]
    trained: list[Trained] = []
    show(stage, 0, len(tasks))
    for i in range(0, len(tasks), SIDE_BY_SIDE):
        some = tasks[i : i + SIDE_BY_SIDE]
        trained += train_side_by_side(config.readout, read.parts["train"], read.parts["validation"], some)
        show(stage, len(trained), len(tasks))
    return [trained[i : i + config.repeats] for i in range(0, len(trained), config.repeats)]


def _seed(config: ZeroShot, number: int, repeat: int) -> int:
    return rng.key(config.seed, f"zero_shot/chip{number}/repeat{repeat}")


def _authors(
    config: ZeroShot, read: _Read, unseen: list[int], number: int, what: str, show: Progress
) -> PaperScores:
    """The authors' projections on the named split; the best epoch by seen and unseen test recall together."""
    from neurosim.readout.contrastive_training import Task, train_side_by_side

    assert config.paper is not None  # noqa: S101 (for mypy)
    readout = config.paper.readout
    every = np.unique(read.parts["test"][0].y)
    tasks = [
        Task(np.setdiff1d(every, unseen), _seed(config, number, repeat)) for repeat in range(config.repeats)
    ]
    history: list[list[_Hits]] = []

    def look(epoch: int, pairs: Sequence[tuple[Projection, Projection]]) -> None:
        now = [Trained(a, b, epoch, epoch, 0.0) for a, b in pairs]
        history.append([_score(one, read.parts["test"], unseen) for one in now])
        show(f"{what}: authors' protocol", epoch, readout.epochs)

    train_side_by_side(readout, read.parts["train"], read.parts["validation"], tasks, on_epoch=look)
    best = [max(range(len(history)), key=lambda e: _both(history[e][k])) for k in range(len(tasks))]
    return PaperScores(
        seen=tuple(history[e][k].seen for k, e in enumerate(best)),
        unseen=tuple(history[e][k].unseen for k, e in enumerate(best)),
        epochs=tuple(e + 1 for e in best),
    )


def _both(hits: _Hits) -> float:
    return hits.seen + hits.unseen


def _joined(scores: Iterable[PaperScores]) -> PaperScores:
    every = list(scores)
    return PaperScores(
        seen=tuple(v for one in every for v in one.seen),
        unseen=tuple(v for one in every for v in one.unseen),
        epochs=tuple(v for one in every for v in one.epochs),
    )


# ---- scores ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Named:
    """The named split of one chip: its projections, its rankings' means and its retrieval matrix."""

    trained: list[Trained]
    ranking: dict[str, float]
    counts: npt.NDArray[np.int64]


def _score(trained: Trained, test: Pair, unseen: list[int]) -> _Hits:
    """Recall of seen and unseen queries of the test part."""
    a, b = test
    similarity = trained.similarity(a.x, b.x)
    new_a, new_b = np.isin(a.y, unseen), np.isin(b.y, unseen)

    def recall(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> float:
        found = nearest(similarity[np.ix_(rows, columns)])
        return float((b.y[columns][found] == a.y[rows]).mean())

    return _Hits(recall(~new_a, ~new_b), recall(new_a, new_b), recall(new_a, np.ones_like(new_b)))


def _named(trained: list[Trained], test: Pair, unseen: list[int], n_classes: int) -> _Named:
    a, b = test
    counts = np.zeros((n_classes, n_classes), np.int64)
    scores: dict[str, list[float]] = {}
    for one in trained:
        similarity = one.similarity(a.x, b.x)
        for group, new in (("seen", False), ("unseen", True)):
            rows = np.isin(a.y, unseen) == new
            columns = np.isin(b.y, unseen) == new
            part = similarity[np.ix_(rows, columns)]
            counts += retrieval_matrix(a.y[rows], b.y[columns][nearest(part)], n_classes)
            for way, ranked in (
                ("query_to_target", score_retrieval(part, a.y[rows], b.y[columns])),
                ("target_to_query", score_retrieval(part.T, b.y[columns], a.y[rows])),
            ):
                for key in ("recall_1", "recall_5", "mean_precision"):
                    scores.setdefault(f"{group}_{way}_{key}", []).append(getattr(ranked, key))
    return _Named(trained, {key: float(np.mean(v)) for key, v in scores.items()}, counts)


def _summary(
    config: ZeroShot,
    classes: Sequence[str],
    splits: list[list[int]],
    hits: list[list[list[_Hits]]],
    named: list[_Named],
    sizes: dict[str, int],
) -> Scores:
    """Intervals over chips and classes of everything that was scored, (chips, splits, repeats)."""

    def interval(key: str, n: int) -> Interval:
        recall = [np.mean([getattr(h, key) for h in chip[0]]) for chip in hits]
        return accuracy_interval([r * n for r in recall], n)

    choices = None
    if config.all_splits or config.windows:
        values = {
            key: np.array([[np.mean([getattr(h, key) for h in split]) for split in chip] for chip in hits])
            for key in ("seen", "unseen")
        }
        means = values["unseen"].mean(axis=0)
        low, high = jackknife(means.tolist(), [frozenset(s) for s in splits], len(classes))
        choices = Choices(
            mean=float(means.mean()),
            ci95=(low, high),
            seen_mean=float(values["seen"].mean()),
            chance=1 / len(config.classes.unseen),
            each=tuple(
                Choice(
                    unseen=tuple(classes[c] for c in split),
                    unseen_recall=float(means[k]),
                    seen_recall=float(values["seen"][:, k].mean()),
                    unseen_per_chip=tuple(values["unseen"][:, k].tolist()),
                )
                for k, split in enumerate(splits)
            ),
        )
    return Scores(
        seen=interval("seen", sizes["seen"]),
        unseen=interval("unseen", sizes["unseen"]),
        unseen_among_all=interval("unseen_among_all", sizes["unseen"]),
        ranking={key: float(np.mean([one.ranking[key] for one in named])) for key in named[0].ranking},
        choices=choices,
        counts=np.sum([one.counts for one in named], axis=0),
    )


def _chance(test: Pair, unseen: list[int]) -> dict[str, float]:
    """Recall at 1 of a target drawn at random, by the test part's own class shares."""
    a, b = test

    def expected(rows: npt.NDArray[np.bool_], columns: npt.NDArray[np.bool_]) -> float:
        labels = b.y[columns]
        return float(np.mean([(labels == y).mean() for y in a.y[rows]]))

    new_a, new_b = np.isin(a.y, unseen), np.isin(b.y, unseen)
    return {
        "seen": expected(~new_a, ~new_b),
        "unseen": expected(new_a, new_b),
        "unseen_among_all": expected(new_a, np.ones_like(new_b)),
    }


# ---- what the report shows -------------------------------------------------------------------------


def _map(trained: Trained, test: Pair, seed: int) -> EmbeddingMap:
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


def _examples(
    config: ZeroShot,
    trained: Trained,
    test: Pair,
    prepared: dict[Sense, Prepared],
    classes: Sequence[str],
    unseen: list[int],
) -> tuple[Found, ...]:
    """The first queries of as many classes as wanted, unseen ones first, and the targets they found."""
    a, b = test
    order = [*unseen, *(c for c in range(len(classes)) if c not in unseen)][: config.examples]
    found = []
    for code in order:
        i = int(np.flatnonzero(a.y == code)[0])
        pool = np.flatnonzero(np.isin(b.y, unseen) == (code in unseen))
        j = int(pool[nearest(trained.similarity(a.x[i : i + 1], b.x[pool]))[0]])
        found.append(
            Found(
                query=_picture(prepared["query"].binned["test"], i),
                target=_picture(prepared["target"].binned["test"], j),
                query_class=classes[code],
                target_class=classes[b.y[j]],
                seen=code not in unseen,
            )
        )
    return tuple(found)


def _picture(binned: Binned, index: int) -> npt.NDArray[np.float32]:
    """Events per pixel, ON minus OFF where there are two; of a row of channels, channels by steps."""
    frames = binned.dense(index).astype(np.float32)
    sensor = binned.sensor
    if sensor.height == 1:
        return np.ascontiguousarray(frames.T)
    pixels = frames.sum(axis=0).reshape(sensor.height, sensor.width, sensor.polarities)
    picture: npt.NDArray[np.float32] = pixels[..., -1]
    return picture - pixels[..., 0] if sensor.polarities == 2 else picture


# ---- cost ------------------------------------------------------------------------------------------


def _training(read: _Read, trained: Trained, config: ZeroShot) -> dict[str, float]:
    encoder = sum(one.work.n_synapses * one.work.n_steps for one in read.encoded)
    return training_cost(encoder, trained.a.n_weights + trained.b.n_weights, config.readout.epochs)


def _costs(read: _Read, trained: Trained) -> dict[str, Any]:
    """Cells, rates and cost of one pair of recordings: both liquids one after the other."""
    costs: list[tuple[Cost, ...]] = []
    operations: dict[str, float] = {}
    for one, projection in zip(read.encoded, (trained.a, trained.b), strict=True):
        crossbar = one.chip.crossbar
        work = replace(one.work, n_macs=projection.n_weights)
        macro = macro_cost(
            crossbar.tiles, crossbar.macro, work, g_mean=crossbar.g_mean, adc_bits=crossbar.adc_bits
        )
        costs.append(compare(macro, map(load_platform, list_cards("platform")), work))
        for key, n in count_operations(crossbar.tiles, work).items():
            operations[key] = operations.get(key, 0.0) + n
    both = tuple(_sum(a, b, two_machines=i == 0) for i, (a, b) in enumerate(zip(*costs, strict=True)))
    tilings = [one.chip.crossbar.tiles for one in read.encoded]
    cells, tiles = sum(t.cells for t in tilings), sum(t.n_tiles for t in tilings)
    return {
        "cells": cells,
        "tiles": tiles,
        "utilisation": cells / (tiles * tilings[0].tile_cells),
        "rates": {
            "before": float(np.mean([one.rate_before for one in read.encoded])),
            "after": float(np.mean([one.rate_after for one in read.encoded])),
        },
        "energy": both[0].energy,
        "operations": operations,
        "cost": both,
    }


def _sum(a: Cost, b: Cost, *, two_machines: bool) -> Cost:
    """Costs of two pieces of work, one after the other, on the same machine or on two."""

    def added(x: dict[str, float], y: dict[str, float]) -> dict[str, float]:
        return {key: x.get(key, 0.0) + y.get(key, 0.0) for key in (x | y)} if x and y else {}

    return Cost(
        a.platform,
        a.counting,
        added(a.energy, b.energy),
        added(a.latency, b.latency),
        added(a.area, b.area) if two_machines else a.area,
    )
