"""From a study to its result, whatever it asks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from neurosim.errors import ExperimentError
from neurosim.study import front, search, sensitivity
from neurosim.study.config import Kind, StudyConfig
from neurosim.study.points import Axis, DesignPoint, make_point, sweep_points, unit
from neurosim.study.ranges import Range
from neurosim.study.results import Point, StudyResult, collect, write
from neurosim.study.storage import folder_url, open_study
from neurosim.study.worker import EVALUATE, Show, do_points


def run_study(
    config: StudyConfig,
    folder: Path,
    *,
    kind: Kind | None = None,
    jobs: int | None = None,
    storage: str | None = None,
    data_dir: Path | None = None,
    evaluate: str = EVALUATE,
    show: Show | None = None,
) -> StudyResult:
    """Do what is left of a study, and write the folder's files.

    An interrupted study goes on where it stopped; a search that is given more trials goes on from those that
    it has. Arguments and errors that are not named here are those of `neurosim.study.worker.do_points`.

    Args:
        config: The study.
        folder: Where ``study.db`` and the results are.
        kind: What the study is meant to ask; None takes any.
        storage: URL of another storage than ``study.db``; see `open_storage`.
        jobs, data_dir, evaluate, show: See above.

    Raises:
        ExperimentError: If the study asks something else.
        MissingExtraError: If Sobol sensitivities are asked for and SALib is not installed.
    """
    if kind not in (None, config.kind):
        raise ExperimentError(
            f"study '{config.name}' has no [{kind}]; add it, or run: neurosim {config.kind} STUDY.toml"
        )
    axes, points = plan(config)
    folder.mkdir(parents=True, exist_ok=True)
    url = storage or folder_url(folder)
    ways: Sequence[Literal["maximize", "minimize"]] = ["maximize"]
    if config.search:
        ways = search.directions(config.search)
    queue = open_study(url, config, points, ways)
    try:
        do_points(queue, config, url, folder, jobs=jobs, data_dir=data_dir, evaluate=evaluate, show=show)
    finally:  # what is done is written even if the rest is not
        result = collect(config, axes, points, queue)
        result = replace(result, extra=summary(config, result.points))
        write(result, folder)
    return result


def plan(config: StudyConfig) -> tuple[tuple[Axis, ...], list[DesignPoint]]:
    """Axes and points of a study.

    The points of a search are numbered places, which the sampler fills when their turn comes. Equal points of
    a sensitivity analysis, which whole numbers can make, are one.
    """
    if config.search:
        axes = _axes(config.search.space)
        places = range(config.search.n_trials)
        return axes, [DesignPoint(n, f"design-{n}", dict.fromkeys(config.search.space), {}) for n in places]
    if config.sensitivity:
        axes = _axes(config.sensitivity.parameters)
        points = {point.key: point for point in _sensitivity_points(config.sensitivity)}
        return axes, [replace(point, number=number) for number, point in enumerate(points.values())]
    return sweep_points(config)


def summary(config: StudyConfig, points: Sequence[Point]) -> dict[str, Any]:
    """What only a search (`front.summarise`) or a sensitivity analysis (`sensitivity.analyse`) has found."""
    if config.search:
        return front.summarise(config.search, points)
    if config.sensitivity:
        rows = {point.key: point.row for point in points}
        answers = [rows[point.key] for point in _sensitivity_points(config.sensitivity)]
        return {"sensitivities": sensitivity.analyse(config.sensitivity, answers)}
    return {}


def headline(result: StudyResult) -> str:
    """What a study has found, in a line."""
    states = Counter(point.state for point in result.points)
    count = f"{states['done']} of {len(result.points)} points done, {states['failed']} failed"
    if result.kind == "search":
        kept = states["done"] - len(result.extra["infeasible"])
        return f"{count}; {kept} keep to the constraints, no other beats {len(result.extra['front'])} of them"
    if result.kind == "sensitivity":
        found = result.extra["sensitivities"]
        most = f"{found['dominant']} decides most" if found["dominant"] else "nothing decides"
        sure = "" if found["clear"] or not found["dominant"] else ", but the intervals do not tell it apart"
        return f"{count}; {most}{sure}" + (f"; {found['note']}" if found["note"] else "")
    return count


def _axes(space: Mapping[str, Range | tuple[Any, ...]]) -> tuple[Axis, ...]:
    """One axis per key: the ends of its range, or all its values."""
    values = {key: (had.low, had.high) if isinstance(had, Range) else had for key, had in space.items()}
    return tuple(Axis(key, (key,), unit(key), of) for key, of in values.items())


def _sensitivity_points(config: sensitivity.SensitivityConfig) -> list[DesignPoint]:
    """The points in the order of `sensitivity.design`; a key that a point leaves to the base has no value."""
    found = []
    for number, values in enumerate(sensitivity.design(config)):
        point = make_point(number, [Axis(key, (key,), "1", ()) for key in values], list(values.values()))
        found.append(replace(point, values=dict.fromkeys(config.parameters) | values))
    return found
