"""Sensitivity of accuracy to an experiment's numbers: which of them decides, and by how much."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field, field_validator, model_validator

from neurosim import rng
from neurosim.config import StrictModel
from neurosim.errors import MissingExtraError
from neurosim.study.ranges import Range, flat_ranges, number_type

RESAMPLES = 1000  # of the bootstrap behind the intervals of Sobol indices


class SensitivityConfig(StrictModel):
    """How accuracy depends on some numbers of the experiment.

    Attributes:
        method: ``sobol``: shares of the variance of accuracy when all parameters vary over their ranges.
            ``local``: change of accuracy from ``low`` to ``high`` of one, the others as in the base.
        parameters: Ranges of the numbers; for ``local`` ends on both sides of the base's value.
        n: Base samples of ``sobol``, a power of two; n (parameters + 2) points are run, and
            n (2 parameters + 2) with ``second_order``.
        second_order: Whether ``sobol`` also looks at pairs of parameters.
        seed: Seed of the samples.
    """

    method: Literal["sobol", "local"] = "sobol"
    parameters: Annotated[dict[str, Range], BeforeValidator(flat_ranges)]
    n: int = Field(64, ge=4)
    second_order: bool = False
    seed: int = Field(0, ge=0)

    @field_validator("n")
    @classmethod
    def _power_of_two(cls, n: int) -> int:
        if n & (n - 1):
            below = 1 << n.bit_length() - 1
            raise ValueError(f"a Sobol sequence is balanced at powers of two; take {below} or {2 * below}")
        return n

    @field_validator("parameters")
    @classmethod
    def _numbers(cls, parameters: dict[str, Range]) -> dict[str, Range]:
        if not parameters:
            raise ValueError("nothing to vary; name keys of the experiment with low and high")
        for key, given in parameters.items():
            number_type(key, given)
        return parameters

    @model_validator(mode="after")
    def _of_sobol(self) -> "SensitivityConfig":
        if self.method == "local" and (foreign := self.model_fields_set & {"n", "second_order", "seed"}):
            raise ValueError(f"method 'local' has no {', '.join(sorted(foreign))}; remove it")
        return self


def design(config: SensitivityConfig) -> list[dict[str, Any]]:
    """The points to run, as values of keys, in the order in which `analyse` expects their answers.

    ``local``: the base (no values), then low and high of every parameter. ``sobol``: Saltelli's scheme on a
    scrambled Sobol sequence; whole numbers can make two points equal.

    Raises:
        MissingExtraError: If SALib, which ``sobol`` needs, is not installed.
    """
    if config.method == "local":
        ends = [{key: end} for key, given in config.parameters.items() for end in (given.low, given.high)]
        return [{}, *ends]
    unit = _salib().sample.sobol.sample(
        _problem(config), config.n, calc_second_order=config.second_order, seed=_seed(config, "sample")
    )
    columns = [
        given.from_unit(u, number_type(key, given))
        for (key, given), u in zip(config.parameters.items(), unit.T, strict=True)
    ]
    return [dict(zip(config.parameters, values, strict=True)) for values in zip(*columns, strict=True)]


def analyse(config: SensitivityConfig, rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Sensitivities from the answers to the points of `design`, as plain data.

    Args:
        config: What was varied.
        rows: Row of every point, in that order; None where it failed or is not done.

    Returns:
        ``method``, ``parameters`` (key to its numbers, see `local_effects` and `sobol_indices`), ``dominant``
        (key that decides most, or None), ``clear`` (whether its interval lies above 0 and above all others)
        and ``note`` (what to know of the numbers, or None).
    """
    if config.method == "local":
        return local_effects(config, [None if row is None else row["per_chip"] for row in rows])
    accuracy = [np.nan if row is None else row["accuracy"] for row in rows]
    return sobol_indices(config, np.array(accuracy, np.float64))


def local_effects(config: SensitivityConfig, per_chip: Sequence[Sequence[float] | None]) -> dict[str, Any]:
    """One parameter at a time: the change of accuracy from the low to the high end of its range.

    effect = mean over chips of f(high) - f(low); slope = effect / (high - low), for a log range
    effect / log10(high / low). All points have the same chips and recordings, so that the difference is taken
    chip by chip; its 95 % interval is Student's t over the chips.

    Args:
        config: What was varied.
        per_chip: Accuracy of every chip at every point of `design`; None where there is none.

    Returns:
        See `analyse`; of every parameter ``low``, ``high``, ``accuracy_low``, ``accuracy_high``, ``effect``,
        ``slope`` [per unit of the parameter, or per decade], and ``ci95`` of the effect (None for one chip).

    Assumes: The interval speaks for other chips of the same technology on the same recordings.
    """
    from scipy import stats

    base, *ends = per_chip
    found: dict[str, dict[str, Any]] = {}
    for (key, given), low, high in zip(config.parameters.items(), ends[::2], ends[1::2], strict=True):
        if low is None or high is None:
            continue
        change = np.subtract(high, low, dtype=np.float64)
        effect, n = float(change.mean()), change.size
        half = float(stats.t.ppf(0.975, n - 1) * stats.sem(change)) if n > 1 else None
        log = given.scale == "log"
        found[key] = {
            "low": given.low,
            "high": given.high,
            "accuracy_low": float(np.mean(low)),
            "accuracy_high": float(np.mean(high)),
            "effect": effect,
            "slope": effect / float(np.log10(given.high / given.low) if log else given.high - given.low),
            "slope_per": "decade" if log else "unit",
            "ci95": None if half is None else [effect - half, effect + half],
        }
    sizes = {key: abs(one["effect"]) for key, one in found.items()}
    halves = {key: one["ci95"][1] - one["effect"] if one["ci95"] else np.inf for key, one in found.items()}
    notes = _missing(len(config.parameters) - len(found), len(ends) // 2, "parameters")
    if any(np.isinf(half) for half in halves.values()):
        notes.append("one chip gives no intervals: raise sweep.chips")
    summary = {"method": "local", "base": None if base is None else float(np.mean(base)), "parameters": found}
    return summary | _verdict(sizes, halves, notes)


def sobol_indices(config: SensitivityConfig, y: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Sobol indices: shares of the variance of accuracy that parameters are responsible for.

    S1_i = Var(E[y | x_i]) / Var(y), what goes away when x_i is known; ST_i = E[Var(y | all but x_i)] /
    Var(y), what remains when all others are. Every x_i is spread evenly over its range or its logarithm.
    Intervals are bootstrapped over the base samples. A point without an answer takes its base sample along.

    Args:
        config: What was varied.
        y: Accuracy at every point of `design`, NaN where there is none.

    Returns:
        See `analyse`; of every parameter ``s1``, ``s1_ci95``, ``st``, ``st_ci95``; also ``mean`` and
        ``variance`` of y, ``n`` (base samples used) and ``pairs`` (a list of ``of``, ``s2``, ``s2_ci95``).

    Assumes: Parameters are independent. Indices of a few chips contain the chips: all points have the same.
    Source: A. Saltelli et al., Comput. Phys. Commun. 181 (2010) 259, doi:10.1016/j.cpc.2009.09.018 (first and
        total order); A. Saltelli, ibid. 145 (2002) 280, doi:10.1016/S0010-4655(02)00280-1 (pairs); in SALib.
    """
    names = list(config.parameters)
    blocks = y.reshape(config.n, -1)
    blocks = blocks[~np.isnan(blocks).any(axis=1)]
    notes = _missing(config.n - len(blocks), config.n, "base samples")
    summary: dict[str, Any] = {"method": "sobol", "n": len(blocks), "mean": None, "variance": None}
    summary |= {"parameters": {}, "pairs": []}
    if len(blocks) < 4:
        return summary | _verdict({}, {}, [*notes, "fewer than 4 complete base samples give no indices"])
    summary |= {"mean": float(blocks.mean()), "variance": float(blocks.var())}
    if np.ptp(blocks) == 0:
        return summary | _verdict({}, {}, [*notes, "accuracy is the same at all points; widen the ranges"])
    s = _salib().analyze.sobol.analyze(
        _problem(config),
        blocks.ravel(),
        calc_second_order=config.second_order,
        num_resamples=RESAMPLES,
        seed=_seed(config, "bootstrap"),
    )

    def index(order: str, *at: int) -> dict[str, Any]:
        value, half = float(s[order][at]), float(s[f"{order}_conf"][at])
        return {order.lower(): value, f"{order.lower()}_ci95": [value - half, value + half]}

    summary["parameters"] = {name: index("S1", i) | index("ST", i) for i, name in enumerate(names)}
    if config.second_order:
        pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
        summary["pairs"] = [{"of": [names[i], names[j]]} | index("S2", i, j) for i, j in pairs]
    totals = dict(zip(names, map(float, s["ST"]), strict=True))
    return summary | _verdict(totals, dict(zip(names, map(float, s["ST_conf"]), strict=True)), notes)


def _verdict(sizes: Mapping[str, float], halves: Mapping[str, float], notes: Sequence[str]) -> dict[str, Any]:
    """Which parameter decides most, and whether that is clear."""
    ranked = sorted(sizes, key=lambda name: -sizes[name])
    first = ranked[0] if ranked and sizes[ranked[0]] > 0 else None
    others = [sizes[name] + halves[name] for name in ranked[1:]]
    clear = first is not None and sizes[first] - halves[first] > max([0.0, *others])
    return {"dominant": first, "clear": clear, "note": "; ".join(notes) or None}


def _missing(n: int, total: int, what: str) -> list[str]:
    return [f"{n} of {total} {what} left out, whose points failed or are not done"] if n else []


def _problem(config: SensitivityConfig) -> dict[str, Any]:
    """SALib's name for the unit cube, which `Range.from_unit` maps to values."""
    names = list(config.parameters)
    return {"num_vars": len(names), "names": names, "bounds": [[0.0, 1.0]] * len(names)}


def _seed(config: SensitivityConfig, use: str) -> int:
    """Seed of one use; never 0, which SALib takes for none."""
    return rng.key(config.seed, f"study/sensitivity/{use}") % 2**32 or 1


def _salib() -> Any:
    try:
        import SALib.analyze.sobol
        import SALib.sample.sobol
    except ImportError:
        raise MissingExtraError(
            "Sobol sensitivities need SALib: pip install 'neurosim-codesign[study]', or take method = 'local'"
        ) from None
    return SALib
