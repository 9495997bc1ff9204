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
    "projection_memory": "projection in memory",
    "synapses": "synapses",
    "weight_read": "weight reads",
    "cells": "cells",
    "row_drivers": "row drivers",
    "sample_and_hold": "sample-and-hold",
    "accumulators": "accumulators",
}
_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


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
        ("Array", _array(result.array)),
        *([("Programming", _programming(result.programming))] if result.programming else []),
        ("Energy per recording", _parts(energies(result), "J")),
        *_elsewhere(result),
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
    return readable(result.energy)


def readable(components: dict[str, float]) -> dict[str, float]:
    """Components of a cost by their readable names."""
    return {_COMPONENTS.get(name, name): value for name, value in components.items()}


def square_millimetres(area: float) -> str:
    """An area [m^2] as ``"1.23 mm²"``."""
    return f"{area * 1e6:.3g} mm²"


def comparison(result: Result) -> list[tuple[str, ...]]:
    """Platform, counting, energy, energy over the macro's, latency and area, a row for each cost."""
    own = result.cost[0].energy["total"] if result.cost else 0.0
    return [
        (
            cost.platform,
            cost.counting,
            quantity(cost.energy["total"], "J"),
            f"{cost.energy['total'] / own:.3g}" if own else "",
            quantity(cost.latency["total"], "s") if cost.latency else "not known",
            square_millimetres(cost.area["total"]) if cost.area else "not known",
        )
        for cost in result.cost
    ]


def components(result: Result) -> list[tuple[str, ...]]:
    """What, where, component, amount and share of every component of every cost."""
    return [
        (f"{what}: {cost.platform}, {cost.counting}", name, text(value), percent(value / total))
        for what, text in (
            ("energy", lambda v: quantity(v, "J")),
            ("latency", lambda v: quantity(v, "s")),
            ("area", square_millimetres),
        )
        for cost in result.cost
        if (total := getattr(cost, what).get("total"))
        for name, value in readable(getattr(cost, what)).items()
        if name != "total" and value
    ]


def _elsewhere(result: Result) -> list[tuple[str, str]]:
    """Latency and area of the macro, and the energy of the same work on digital platforms."""
    if not result.cost:
        return []
    macro, *others = result.cost
    by_platform: dict[str, list[str]] = {}
    for cost in others:
        by_platform.setdefault(cost.platform, []).append(
            f"{quantity(cost.energy['total'], 'J')} {cost.counting}"
        )
    return [
        (
            "Latency and area",
            f"{quantity(macro.latency['total'], 's')}, {square_millimetres(macro.area['total'])}",
        ),
        ("Energy elsewhere", "; ".join(f"{name} {', '.join(e)}" for name, e in by_platform.items())),
    ]


def _mean(shares: Iterable[float]) -> str:
    return percent(float(np.mean(list(shares))))


def _array(facts: dict[str, float]) -> str:
    parts = [f"a read drives {percent(facts['row_activity'])} of the rows"]
    if "wire_loss" in facts:
        parts.append(
            f"wires take {percent(facts['wire_loss'])} of the current (mean field off by "
            f"{percent(facts['wire_rms'])} rms, {percent(facts['wire_worst'])} at worst)"
        )
    if "adc_full_scale" in facts:
        clipped = percent(facts["adc_clipped"])
        parts.append(
            f"converters saturate at {quantity(facts['adc_full_scale'], 'A')}, {clipped} of the time"
        )
    return "; ".join(parts)


def _programming(facts: dict[str, float]) -> str:
    error = f"{quantity(facts['error_mean'], 'S')} ± {quantity(facts['error_sigma'], 'S')}"
    return (
        f"{facts['pulses']:.3g} pulses and {facts['reads']:.3g} reads a cell, error {error}, "
        f"{percent(facts['failed'])} failed; {quantity(facts['energy'], 'J')} and "
        f"{quantity(facts['time'], 's')} a chip, cells in turn"
    )


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
