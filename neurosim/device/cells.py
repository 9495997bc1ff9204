"""The cells of one chip: every effect of the card, in the order in which it happens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.cards import DeviceCard, load_device
from neurosim.device.ageing import at_temperature, drift, drift_exponents, relax
from neurosim.device.conductance import form, programming_error, spread, targets
from neurosim.device.config import DeviceConfig, check_range, number
from neurosim.device.faults import dead_lines, outliers, stuck, wear
from neurosim.device.noise import read_noise
from neurosim.device.write_verify import Programmed, write_verify
from neurosim.errors import ExperimentError


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one array, of any shape.

    Attributes:
        g: float32 [S], conductance without read noise at the chip's age.
        formed: bool, whether the cell was formed.
        sigma_white: float32 [S], standard deviation of the read noise that is new at every read.
        sigma_slow: float32 [S], standard deviation of the slow read noise (see `slow_noise`).
        card: The device card that they were made from.
        programmed: What write-verify did; None where the card's programming error was drawn instead.
    """

    g: npt.NDArray[np.float32]
    formed: npt.NDArray[np.bool_]
    sigma_white: npt.NDArray[np.float32]
    sigma_slow: npt.NDArray[np.float32]
    card: DeviceCard
    programmed: Programmed | None = None


def make_cells(
    config: DeviceConfig,
    shape: tuple[int, ...],
    *,
    seed: int,
    name: str,
    target: npt.NDArray[np.float32] | None = None,
    word_lines: str | None = None,
) -> Cells:
    """Cells of one array of a chip.

    In this order: forming by one pulse under a compliance current (or given targets), spread from device to
    device, outliers, programming error (or write-verify in place of these three); relaxation and drift at the
    temperature; cells worn out by cycling and stuck from the start; the conductance at the temperature; dead
    lines; and how much noise a read adds.

    Args:
        config: Technology and treatment.
        shape: Shape of the array, e.g. (rows, cols).
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``; every effect has a stream of its own below it, so that
            switching one off leaves the draws of the others as they are.
        target: Conductances [S] that cells of a fully formed array are programmed to; None forms the array.
        word_lines: Stream prefix of its word lines where it shares them with another array; None: ``name``.

    Raises:
        CardError: If the card is unknown or wrong.
        ExperimentError: If the configuration asks for what the card cannot say.
        OutOfRangeError: If a value leaves the card's range.

    Assumes: the effects are independent; unformed and stuck cells do not age, and unformed ones do not wear.
    Source: the card.
    """
    card = load_device(config.card)
    t, temperature, extrapolate = config.t_after_programming, config.temperature, config.extrapolate
    low = np.float32(card.conductance.g_min.value)
    sigma_d2d = number(card.conductance.sigma_d2d) if config.sigma_d2d is None else config.sigma_d2d

    def random(effect: str) -> np.random.Generator:
        return rng.stream(seed, f"{name}/{effect}")

    if target is None:
        if config.write_verify and card.forming:
            raise ExperimentError(
                f"device.write_verify, but device card '{card.name}' has [forming]: its cells keep what the "
                "forming pulse gave them; remove write_verify or choose a card with [switching]"
            )
        formed = form(card, config.v_forming, shape, random("forming"), extrapolate=extrapolate)
        target = targets(card, shape, random("target"), config.compliance, extrapolate=extrapolate)
    else:
        formed = np.ones(shape, np.bool_)
    done = None
    if config.write_verify:
        done = write_verify(card, target, config.write_verify, seed=seed, name=name, extrapolate=extrapolate)
        g = done.g
    else:
        g = spread(target, sigma_d2d, card.conductance.distribution, random("d2d"))
        g = outliers(card, g, target, random("outliers"))
        g = np.maximum(g + programming_error(card, target, random("programming"), config.sigma_prog), 0)
    g = programmed = np.where(formed, g, low)
    g = relax(card, g, target, t, random("relaxation"), temperature=temperature, extrapolate=extrapolate)
    nu = drift_exponents(card, target, random("drift"))
    g = drift(card, g, nu, t, temperature=temperature, extrapolate=extrapolate)
    g = wear(card, g, config.n_cycles, random("endurance"), extrapolate=extrapolate)
    g = np.where(formed, g, low)
    g = stuck(card, g, config.p_stuck, random("stuck"))
    g = at_temperature(card, g, temperature, extrapolate=extrapolate)
    rows = rng.stream(seed, f"{word_lines or name}/dead_rows")
    g = dead_lines(card, g, config.p_dead_row, config.p_dead_col, rows, random("dead_cols"))
    sigma_read, fraction = config.sigma_read, config.read_white_fraction
    white, slow = read_noise(card, g, programmed, t, sigma_read=sigma_read, white_fraction=fraction)
    return Cells(g, formed, white, slow, card, done)


def check_read_voltage(card: DeviceCard, v_read: float, *, extrapolate: bool = False) -> None:
    """Refuse a read voltage [V] above the card's v_read_max.

    Raises:
        OutOfRangeError: If it is above and ``extrapolate`` is false.
    """
    if card.read:
        high = card.read.v_read_max.value
        check_range("v_read", v_read, 0.0, high, "V", card=card.name, extrapolate=extrapolate)
