"""The numbers of a result as text, said once for the terminal and the page."""

from collections.abc import Iterable

import numpy as np

from neurosim.results import Result

_COMPONENTS = {
    "row_drive": "row drive",
    "cell_read": "cell read",
    "adc": "ADC",
    "digital_accumulate": "digital accumulation",
    "projection_mac": "projection MACs",
}
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
    rate = f"{result.rates['before']:.3g} Hz"
    if "target" in result.rates:
        after, target = result.rates["after"], result.rates["target"]
        rate += f", after homeostasis {after:.3g} Hz, target {target:.3g} Hz"
    chosen = result.experiment
    n_neurons = len(result.chips[0].rate_after)
    return [
        ("Accuracy", f"{percent(result.accuracy.mean)} (95 % interval {percent(low)} to {percent(high)})"),
        ("Accuracy of each chip", ", ".join(map(percent, result.accuracy.per_chip))),
        ("Validation accuracy", _mean(chip.validation_accuracy for chip in result.chips)),
        ("Training accuracy", _mean(chip.train_accuracy for chip in result.chips)),
        ("Test recordings", f"{result.n_test:,}"),
        ("Training and validation", f"{result.n_train:,} and {result.n_validation:,} recordings"),
        ("Device and macro card", f"{chosen['device']['card']}, {chosen['array']['macro']}"),
        ("Liquid", f"{chosen['reservoir']['topology']}, {plural(n_neurons, 'neuron')}"),
        ("Readout", chosen["readout"]["kind"]),
        ("Chips and seed", f"{plural(len(result.chips), 'chip')}, seed {chosen['seed']}"),
        ("Cells per chip", _cells(result)),
        ("Firing rate", rate),
        ("Energy per recording", _parts(energies(result), "J")),
        ("Wall time", _parts(result.seconds, "s")),
        ("Fingerprint", result.fingerprint),
    ]


def warnings(result: Result) -> list[str]:
    """What makes the numbers of ``result`` worth less than they look."""
    found = []
    if silent := [str(chip.chip) for chip in result.chips if not chip.rate_after.any()]:
        found.append(
            f"the liquid of chip {', '.join(silent)} is silent: no neuron fires; raise "
            "reservoir.input_scaling or lower reservoir.v_threshold"
        )
    if len(result.chips) == 1:
        found.append("1 chip: the interval leaves out how chips differ; use 3 or more")
    if len(result.chips) == 2:
        found.append("2 chips: the interval is wide; use 3 or more")
    return found


def energies(result: Result) -> dict[str, float]:
    """Energy per recording [J] by the readable name of its component, and ``"total"``."""
    return {_COMPONENTS.get(name, name): joule for name, joule in result.energy.items()}


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
