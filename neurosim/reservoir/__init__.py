"""The liquid: random wiring on a crossbar, spiking dynamics on three engines, homeostasis, states."""

from neurosim.reservoir.chip import Chip, make_chip
from neurosim.reservoir.config import HomeostasisConfig, ReservoirConfig, StatesConfig
from neurosim.reservoir.homeostasis import adapt_thresholds, firing_rates
from neurosim.reservoir.liquid import Liquid, Weights, build_liquid
from neurosim.reservoir.states import States, simulate
from neurosim.reservoir.transformer import LiquidTransformer
from neurosim.reservoir.wiring import Synapses, Wiring, wire

__all__ = [
    "Chip",
    "HomeostasisConfig",
    "Liquid",
    "LiquidTransformer",
    "ReservoirConfig",
    "States",
    "StatesConfig",
    "Synapses",
    "Weights",
    "Wiring",
    "adapt_thresholds",
    "build_liquid",
    "firing_rates",
    "make_chip",
    "simulate",
    "wire",
]
