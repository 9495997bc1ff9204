"""Many cells: differential pairs, their layout on macros, converters, read noise and cost."""

from neurosim.array.adc import Adc, quantise
from neurosim.array.cost import count_operations, energy
from neurosim.array.crossbar import (
    ArrayConfig,
    Crossbar,
    build_crossbar,
    differential,
    slow_reads,
    white_variance,
)
from neurosim.array.tiles import Tiling, tile

__all__ = [
    "Adc",
    "ArrayConfig",
    "Crossbar",
    "Tiling",
    "build_crossbar",
    "count_operations",
    "differential",
    "energy",
    "quantise",
    "slow_reads",
    "tile",
    "white_variance",
]
