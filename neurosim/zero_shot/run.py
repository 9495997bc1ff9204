"""From two senses to a result: both liquids of every chip, all projections, seen and unseen recall."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neurosim import rng, store
from neurosim.config import fingerprint
from neurosim.errors import ExperimentError
from neurosim.events.parts import PARTS, Part
from neurosim.events.types import Binned
from neurosim.experiment import (
    PACKAGES,
    Clock,
    Encoded,
    Experiment,
    Prepared,
    Progress,
    encode,
    package_version,
    prepare,
    resolve,
)
from neurosim.readout.contrastive import Projection, Recordings, Trained
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.states import Engine
from neurosim.results import Interval, accuracy_interval
from neurosim.zero_shot.config import ZeroShot, load_zero_shot, unseen_choices
from neurosim.zero_shot.cost import costs_of, training_of
from neurosim.zero_shot.scores import Hits, Named, Pair, chance_of, score, score_named, summarise
from neurosim.zero_shot.view import embedding_map, examples
from neurosim.zero_shot_results import PaperScores, TrainedScores, ZeroShotResult

if TYPE_CHECKING:
    from rich.console import Console

    from neurosim.zero_shot.trained import TrainedRun

Sense = Literal["query", "target"]
SENSES: tuple[Sense, Sense] = ("query", "target")
SIDE_BY_SIDE = 80  # projections trained in one batch: bounds memory


@dataclass(frozen=True, eq=False)
class _Read:
    """One chip: both senses' states of every part, and what they were read with."""

    encoded: tuple[Encoded, Encoded]
    parts: dict[Part, Pair]


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
    # first: what is wrong with a card is found before the data are read
    sides = {ideal: _sides(config, ideal) for ideal in ((False, True) if config.compare_ideal else (False,))}
    resolved = _resolve(config, [side.resolved for side in sides[False]])
    prepared = {sense: _prepare(config, sense, classes, data_dir, show) for sense in SENSES}
    clock.lap("events")
    splits = [[classes.index(name) for name in unseen] for unseen in unseen_choices(config)]
    every: dict[bool, list[list[list[Hits]]]] = {False: [], True: []}  # ideal: chip: split: repeat
    kept: dict[bool, list[Named]] = {False: [], True: []}
    reads: list[_Read] = []
    paper: list[PaperScores] = []
    for number in range(config.chips):
        for ideal, side in sides.items():
            what = f"chip {number}{', ideal' if ideal else ''}"
            read = _encode(side, prepared, number, engine, what, show)
            clock.lap("liquids")
            trained = _train(config, read, splits, number, f"{what}: projections", show)
            hits = [
                [score(t, read.parts["test"], unseen) for t in repeats]
                for unseen, repeats in zip(splits, trained, strict=True)
            ]
            every[ideal].append(hits)
            kept[ideal].append(score_named(trained[0], read.parts["test"], splits[0], len(classes)))
            clock.lap("projections")
            if not ideal:
                reads = reads or [read]
                if config.paper:
                    paper.append(_authors(config, read, splits[0], number, what, show))
                    clock.lap("authors' protocol")
    parts = {part: (prepared["query"].binned[part], prepared["target"].binned[part]) for part in PARTS}
    trained_runs = _encoders(config, parts, splits[0], show)
    if trained_runs:
        clock.lap("trained encoders")
    test, first = reads[0].parts["test"], kept[False][0].trained[0]
    n_unseen = int(np.isin(test[0].y, splits[0]).sum())
    sizes = {"seen": len(test[0].y) - n_unseen, "unseen": n_unseen}
    hardware = summarise(config, classes, splits, every[False], kept[False], sizes)
    ideal_scores = summarise(config, classes, splits, every[True], kept[True], sizes) if every[True] else None
    chosen = [named.trained for named in kept[False]]
    training = training_of(reads[0].encoded, first)
    return ZeroShotResult(
        name=config.name,
        fingerprint=fingerprint(resolved, [prepared[sense].content for sense in SENSES]),
        experiment=resolved,
        versions={name: package_version(name) for name in PACKAGES},
        query=config.query.name,
        target=config.target.name,
        classes=classes,
        n_seen=len(config.classes.seen),
        chance=chance_of(test, splits[0]),
        counts={s: {part: len(prepared[s].binned[part]) for part in PARTS} for s in SENSES},
        n_queries=sizes,
        hardware=hardware,
        ideal=ideal_scores,
        paper=_joined(paper) if paper else None,
        trained=_trained_scores(trained_runs, sizes, training["random"]) if trained_runs else None,
        validation=tuple(float(np.mean([t.validation_score for t in one])) for one in chosen),
        epochs=tuple(tuple(t.epoch for t in one) for one in chosen),
        map=embedding_map(first, test, config.seed),
        found=examples(first, test, parts["test"], classes, splits[0], config.examples),
        training=training,
        **costs_of(reads[0].encoded, first),
        seconds=clock.seconds(),
    )


# ---- recordings ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Side:
    """One sense as an experiment, and that with its cards inlined."""

    experiment: Experiment
    resolved: dict[str, Any]


def _sides(config: ZeroShot, ideal: bool) -> list[_Side]:
    senses = [config.experiment(getattr(config, sense), ideal=ideal) for sense in SENSES]
    return [_Side(experiment, resolve(experiment)) for experiment in senses]


def _resolve(config: ZeroShot, both: list[dict[str, Any]]) -> dict[str, Any]:
    """The experiment as plain data, the cards of both senses inlined."""
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
            n_seen = int((labels[rows] < len(config.classes.seen)).sum())
            homeostasis = side.reservoir.homeostasis
            if homeostasis and homeostasis.n_recordings > n_seen:
                raise ExperimentError(
                    f"{sense}.reservoir.homeostasis.n_recordings (={homeostasis.n_recordings}): {sense}.data "
                    f"has {n_seen} training recordings of seen classes, and thresholds must not adapt on "
                    "others; lower it, or raise data.train.n"
                )
        if absent := sorted(set(range(len(classes))) - set(labels[rows].tolist())):
            raise ExperimentError(
                f"{sense}.data.{part} has no recording of class '{classes[absent[0]]}'; raise its n"
            )
        binned[part] = replace(whole.binned[part][rows], labels=labels[rows], classes=tuple(classes))
        chosen[part] = store.digest(rows)
    return replace(whole, binned=binned, content=fingerprint(whole.content, chosen, list(classes)))


def _encode(
    sides: list[_Side],
    prepared: dict[Sense, Prepared],
    number: int,
    engine: Engine,
    what: str,
    show: Progress,
) -> _Read:
    """States of both senses of one chip."""
    encoded = []
    for k, sense in enumerate(SENSES):

        def renamed(stage: str, done: int, total: int, sense: Sense = sense) -> None:
            show(f"{what}: {sense}, {stage.rpartition(': ')[2]}", done, total)

        one = encode(
            sides[k].experiment,
            prepared[sense],
            resolved=sides[k].resolved,
            number=2 * number + k,
            engine=engine,
            progress=renamed,
        )
        encoded.append(one)
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
    history: list[list[Hits]] = []

    def look(epoch: int, pairs: Sequence[tuple[Projection, Projection]]) -> None:
        now = [Trained(a, b, epoch, epoch, 0.0) for a, b in pairs]
        history.append([score(one, read.parts["test"], unseen) for one in now])
        show(f"{what}: authors' protocol", epoch, readout.epochs)

    train_side_by_side(readout, read.parts["train"], read.parts["validation"], tasks, on_epoch=look)
    best = [max(range(len(history)), key=lambda e: _both(history[e][k])) for k in range(len(tasks))]
    return PaperScores(
        seen=tuple(history[e][k].seen for k, e in enumerate(best)),
        unseen=tuple(history[e][k].unseen for k, e in enumerate(best)),
        epochs=tuple(e + 1 for e in best),
    )


def _encoders(
    config: ZeroShot, parts: dict[Part, tuple[Binned, Binned]], unseen: list[int], show: Progress
) -> list["TrainedRun"]:
    """Trained encoders of every repeat, or none."""
    if config.trained is None:
        return []
    from neurosim.zero_shot.trained import train_encoders

    a, b = (
        _beta(sense.reservoir, binned.dt)
        for sense, binned in zip((config.query, config.target), parts["train"], strict=True)
    )
    runs = []
    for repeat in range(config.repeats):

        def advance(done: int, total: int, repeat: int = repeat) -> None:
            show(f"trained encoders {repeat}", done, total)

        seed = rng.key(config.seed, f"zero_shot/srnn{repeat}")
        runs.append(
            train_encoders(config.trained, config.readout, parts, (a, b), unseen, seed, progress=advance)
        )
    return runs


def _beta(reservoir: ReservoirConfig, dt: float) -> float:
    return reservoir.beta if reservoir.tau_mem is None else math.exp(-dt / reservoir.tau_mem)  # type: ignore[return-value]


def _trained_scores(runs: "list[TrainedRun]", sizes: dict[str, int], random: float) -> TrainedScores:
    def interval(key: str) -> Interval:
        return accuracy_interval([getattr(run.hits, key) * sizes[key] for run in runs], sizes[key])

    cost = float(np.mean([3 * run.epochs * (run.encoder + run.projection) for run in runs]))
    epochs = float(np.mean([run.epochs for run in runs]))
    return TrainedScores(interval("seen"), interval("unseen"), epochs, cost, cost / random)


def _both(hits: Hits) -> float:
    return hits.seen + hits.unseen


def _joined(scores: Iterable[PaperScores]) -> PaperScores:
    every = list(scores)
    return PaperScores(
        seen=tuple(v for one in every for v in one.seen),
        unseen=tuple(v for one in every for v in one.unseen),
        epochs=tuple(v for one in every for v in one.epochs),
    )


def run_and_write(
    source: str,
    overrides: list[str],
    *,
    folder: Callable[[str], Path],
    data_dir: Path | None,
    engine: Engine,
    progress: Progress,
) -> tuple[Callable[["Console"], None], tuple[Path, ...]]:
    """What ``neurosim run`` does with such a file; see `neurosim.concept_shift.run_and_write`."""
    from neurosim.report.zero_shot import show, write

    config = load_zero_shot(source, overrides)
    out = folder(config.name)
    result = run_zero_shot(config, data_dir=data_dir, engine=engine, progress=progress)
    return partial(show, result), write(result, out)
