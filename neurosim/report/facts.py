"""The numbers of a result as text, said once for the terminal and the page."""

from collections.abc import Iterable

import numpy as np

from neurosim.results import Result

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def percent(share: float) -> str:
    """A share as ``"97.1 %"``."""
    return f"{100 * share:.1f} %"


def quantity(value: float, unit: str) -> str:
    """Three significant digits with an SI prefix, e.g. ``"1.23 µJ"``."""
    power = int(f"{value:.2e}".partition("e")[2])  # after rounding: 999.9 µ is 1 m
    exponent = min(max(power // 3 * 3, min(_PREFIXES)), max(_PREFIXES))
    return f"{value / 10.0**exponent:.3g} {_PREFIXES[exponent]}{unit}"


def plural(number: int, noun: str) -> str:
    """A counted noun, e.g. ``"1 tile"`` and ``"1,234 cells"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def summary(result: Result) -> list[tuple[str, str]]:
    """Name and value of every headline number of ``result``."""
    low, high = result.accuracy.ci95
    before, after = result.rates["before"], result.rates["after"]
    target = f", target {result.rates['target']:.3g} Hz" if "target" in result.rates else ""
    return [
        ("Accuracy", f"{percent(result.accuracy.mean)} (95 % interval {percent(low)} to {percent(high)})"),
        ("Accuracy of each chip", ", ".join(map(percent, result.accuracy.per_chip))),
        ("Validation accuracy", _mean(chip.validation_accuracy for chip in result.chips)),
        ("Training accuracy", _mean(chip.train_accuracy for chip in result.chips)),
        ("Test recordings", f"{result.n_test:,}"),
        ("Training and validation", f"{result.n_train:,} and {result.n_validation:,} recordings"),
        ("Cells per chip", _cells(result)),
        ("Firing rate", f"{before:.3g} Hz, after homeostasis {after:.3g} Hz{target}"),
        ("Energy per recording", _parts(result.energy, "J")),
        ("Wall time", _parts(result.seconds, "s")),
        ("Fingerprint", result.fingerprint),
    ]


def _mean(shares: Iterable[float]) -> str:
    return percent(float(np.mean(list(shares))))


def _cells(result: Result) -> str:
    if not result.cells:
        return "none"
    capacity = round(result.cells / result.utilisation)
    return (
        f"{result.cells:,} of {capacity:,} in {plural(result.tiles, 'tile')} "
        f"({percent(result.utilisation)} used)"
    )


def _parts(amounts: dict[str, float], unit: str) -> str:
    parts = ", ".join(f"{name} {quantity(v, unit)}" for name, v in amounts.items() if name != "total")
    return f"{quantity(amounts['total'], unit)} ({parts})"
