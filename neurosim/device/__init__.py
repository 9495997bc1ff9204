"""One memory cell: forming, programming, spread, ageing and read noise, from a device card."""

from neurosim.device.ageing import drift, drift_exponents, relax
from neurosim.device.cells import Cells, check_read_voltage, make_cells
from neurosim.device.conductance import formed_probability, program
from neurosim.device.config import DeviceConfig
from neurosim.device.noise import read_noise, slow_noise, slow_steps

__all__ = [
    "Cells",
    "DeviceConfig",
    "check_read_voltage",
    "drift",
    "drift_exponents",
    "formed_probability",
    "make_cells",
    "program",
    "read_noise",
    "relax",
    "slow_noise",
    "slow_steps",
]
