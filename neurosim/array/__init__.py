"""Many cells: differential pairs, their layout on macros, converters, read noise and cost."""

from neurosim.array.adc import Adc, ColumnErrors, calibrate, draw_column_errors, quantise
from neurosim.array.cost import (
    Cost,
    Work,
    adc_energy,
    area,
    compare,
    count_operations,
    digital_cost,
    energy,
    in_memory,
    latency,
    macro_cost,
)
from neurosim.array.crossbar import (
    ArrayConfig,
    Crossbar,
    build_crossbar,
    differential,
    slow_reads,
    white_variance,
    wire_error,
    with_cells,
)
from neurosim.array.irdrop import Seen, WiresConfig
from neurosim.array.tiles import Tiling, tile

__all__ = [
    "Adc",
    "ArrayConfig",
    "ColumnErrors",
    "Cost",
    "Crossbar",
    "Seen",
    "Tiling",
    "WiresConfig",
    "Work",
    "adc_energy",
    "area",
    "build_crossbar",
    "calibrate",
    "compare",
    "count_operations",
    "differential",
    "digital_cost",
    "draw_column_errors",
    "energy",
    "in_memory",
    "latency",
    "macro_cost",
    "quantise",
    "slow_reads",
    "tile",
    "white_variance",
    "wire_error",
    "with_cells",
]
