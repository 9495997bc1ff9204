"""Measured data in, a device card out: one law after another, each with how well it fits."""

from neurosim.fit.card import FittedCard, fit_card, write_card
from neurosim.fit.measurements import Measurement, read_measurement

__all__ = ["FittedCard", "Measurement", "fit_card", "read_measurement", "write_card"]
