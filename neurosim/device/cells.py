"""The cells of one chip: every effect of the card, in the order in which it happens."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.cards import DeviceCard, load_device
from neurosim.device.ageing import drift, drift_exponents, relax
from neurosim.device.conductance import form, outliers, programming_error, spread, stuck, targets
from neurosim.device.config import DeviceConfig, check_range, number
from neurosim.device.noise import read_noise


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells of one array, of any shape.

    Attributes:
        g: float32 [S], conductance without read noise at the chip's age.
        formed: bool, whether the cell was formed.
        sigma_white: float32 [S], standard deviation of the read noise that is new at every read.
        sigma_slow: float32 [S], standard deviation of the slow read noise (see `slow_noise`).
        card: The device card that they were made from.
    """

    g: npt.NDArray[np.float32]
    formed: npt.NDArray[np.bool_]
    sigma_white: npt.NDArray[np.float32]
    sigma_slow: npt.NDArray[np.float32]
    card: DeviceCard


def make_cells(config: DeviceConfig, shape: tuple[int, ...], *, seed: int, name: str) -> Cells:
    """Cells of one array of a chip.

    Args:
        config: Technology and treatment.
        shape: Shape of the array, e.g. (rows, cols).
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``; every effect has a stream of its own below it, so that
            switching one off leaves the draws of the others as they are.

    Raises:
        CardError: If the card is unknown or wrong.
        ExperimentError: If the configuration asks for what the card cannot say.
        OutOfRangeError: If a value leaves the card's range.

    Assumes: the effects are independent; unformed and stuck cells do not age.
    Source: the card.
    """
    card = load_device(config.card)
    t, extrapolate = config.t_after_programming, config.extrapolate
    low = np.float32(card.conductance.g_min.value)
    sigma_d2d = number(card.conductance.sigma_d2d) if config.sigma_d2d is None else config.sigma_d2d

    def random(effect: str) -> np.random.Generator:
        return rng.stream(seed, f"{name}/{effect}")

    formed = form(card, config.v_forming, shape, random("forming"), extrapolate=extrapolate)
    target = targets(card, shape, random("target"))
    g = spread(target, sigma_d2d, card.conductance.distribution, random("d2d"))
    g = outliers(card, g, target, random("outliers"))
    g = np.maximum(g + programming_error(card, target, random("programming"), config.sigma_prog), 0)
    g = programmed = np.where(formed, g, low)
    g = relax(card, g, target, t, random("relaxation"), extrapolate=extrapolate)
    g = drift(card, g, drift_exponents(card, target, random("drift")), t, extrapolate=extrapolate)
    g = np.where(formed, g, low)
    g = stuck(card, g, config.p_stuck, random("stuck"))
    sigma_read, fraction = config.sigma_read, config.read_white_fraction
    white, slow = read_noise(card, g, programmed, t, sigma_read=sigma_read, white_fraction=fraction)
    return Cells(g, formed, white, slow, card)


def check_read_voltage(card: DeviceCard, v_read: float, *, extrapolate: bool = False) -> None:
    """Refuse a read voltage [V] above the card's v_read_max.

    Raises:
        OutOfRangeError: If it is above and ``extrapolate`` is false.
    """
    if card.read:
        high = card.read.v_read_max.value
        check_range("v_read", v_read, 0.0, high, "V", card=card.name, extrapolate=extrapolate)
