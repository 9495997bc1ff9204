"""A device card with [switching] made from plain numbers, for tests of programming."""

from typing import Any

from neurosim.cards import DeviceCard

UNITS = {
    "v_start": "V",
    "v_step": "V",
    "v_max": "V",
    "v_on": "V",
    "v_scale": "V",
    "sigma_v": "V",
    "v_line": "V",
}
SECTION = {"width": "s", "width_min": "s", "width_max": "s"}
IDENTICAL = {"step": 0.1, "sigma_c2c": 0.0, "v_start": 1.5}
STAIRS = {
    "step": 1.0, "sigma_c2c": 0.0, "v_start": 1.0, "v_step": 0.05, "v_max": 3.0, "v_on": 1.0, "v_scale": 0.25
}  # fmt: skip


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "where": "a test", "status": "assumed"}


def card(up: dict[str, float], down: dict[str, float] | None = None, **section: float) -> DeviceCard:
    """Card of the window 10 .. 110 uS with SET pulses ``up`` and RESET pulses ``down`` (None: the same)."""
    laws = {
        key: {name: quantity(value, UNITS.get(name, "1")) for name, value in law.items()}
        for key, law in (("set", up), ("reset", down or up))
    }
    more = {
        name: quantity(value, SECTION.get(name, "1")) for name, value in ({"width": 1e-6} | section).items()
    }
    return DeviceCard.model_validate(
        {
            "name": "pulsed",
            "title": "a test",
            "conductance": {"g_min": quantity(10e-6, "S"), "g_max": quantity(110e-6, "S")},
            "switching": laws | more,
        }
    )
