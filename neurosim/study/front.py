"""What a search has found: the designs that no other beats, and the keys that decide."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optuna import create_study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from neurosim.study.search import SearchConfig, directions, distributions, objective_values, violations

if TYPE_CHECKING:
    from neurosim.study.results import Point

MIN_DESIGNS = 20  # PED-ANOVA compares the best five or more with all


def summarise(config: SearchConfig, points: "Sequence[Point]") -> dict[str, Any]:
    """What a search has found, as plain data.

    Args:
        config: What was searched.
        points: All points of the study; those not done are left out.

    Returns:
        ``objectives`` with their directions, ``constraints``, ``front`` (numbers of the points that keep to
        all constraints and that no other such point dominates; of equal designs the first), ``infeasible``
        (numbers of those that do not keep to them), ``importance`` (see `importance`).
    """
    infeasible: list[int] = []
    kept: dict[str, tuple[int, Mapping[str, Any], list[float]]] = {}
    for point in sorted(points, key=lambda point: point.number):
        if point.row is None:
            continue
        if any(beyond > 0 for beyond in violations(config, point.row).values()):
            infeasible.append(point.number)
        else:
            design = {key: point.values[key] for key in config.space}
            # equal designs have equal rows: the first stands for all
            kept.setdefault(repr(design), (point.number, design, objective_values(config, point.row)))
    numbers, designs, found = zip(*kept.values(), strict=True) if kept else ((), (), ())
    values = np.array(found, np.float64).reshape(-1, len(config.objectives))
    signs = [-1.0 if way == "maximize" else 1.0 for way in directions(config)]
    return {
        "objectives": dict(zip(config.objectives, directions(config), strict=True)),
        "constraints": dict(config.constraints),
        "front": [number for number, best in zip(numbers, pareto_front(values * signs), strict=True) if best],
        "infeasible": infeasible,
        "importance": importance(config, designs, values),
    }


def pareto_front(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which points no other dominates, that is, is as good in all objectives and better in one.

    Args:
        losses: What is to be low, (n_points, n_objectives).

    Returns:
        bool (n_points,).
    """
    dominated = [((losses <= one).all(axis=1) & (losses < one).any(axis=1)).any() for one in losses]
    return ~np.array(dominated, np.bool_)


def importance(
    config: SearchConfig, designs: Sequence[Mapping[str, Any]], values: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """How much every key decides about a design's being among the best tenth (five at least), by PED-ANOVA.

    Args:
        config: What was searched.
        designs: Values of the keys of every design that keeps to the constraints, all different.
        values: Their objectives, (n_designs, n_objectives).

    Returns:
        ``method``, ``n`` (designs), ``note`` (why there are no numbers, or None) and ``shares``: for the
        ``front`` and for every objective alone a share per key, adding up to 1, the largest first.

    Assumes: Keys act one by one: one that matters only together with another may get a small share.
    Source: S. Watanabe, A. Bansal, F. Hutter, IJCAI 2023, arXiv:2304.10255, as in Optuna.
    """
    found: dict[str, Any] = {"method": "PED-ANOVA", "n": len(designs), "note": None, "shares": {}}
    if len(designs) < MIN_DESIGNS:
        few = f"{len(designs)} designs keep to the constraints, importance needs {MIN_DESIGNS}"
        return found | {"note": f"{few}: raise n_trials"}
    kinds, ways = distributions(config), directions(config)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, 5 / len(designs)))

    def shares(columns: Sequence[int]) -> dict[str, float]:
        study = create_study(directions=[ways[column] for column in columns])
        study.add_trials(
            create_trial(params=dict(design), distributions=kinds, values=[value[c] for c in columns])
            for design, value in zip(designs, values.tolist(), strict=True)
        )
        ranked = get_param_importances(study, evaluator=evaluator)
        return dict(sorted(ranked.items(), key=lambda item: -item[1]))

    of = {"front": shares(range(len(ways)))}
    of |= {name: shares([column]) for column, name in enumerate(config.objectives)}
    return found | {"shares": of}
