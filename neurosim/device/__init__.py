"""One memory cell: forming, programming, spread, ageing and read noise, from a device card."""

from neurosim.device.ageing import acceleration, drift, drift_exponents, relax
from neurosim.device.cells import Cells, check_read_voltage, make_cells
from neurosim.device.conductance import formed_probability, program
from neurosim.device.config import DeviceConfig, WriteVerifyConfig
from neurosim.device.iv import chord, current, linear_error
from neurosim.device.noise import read_noise, slow_noise, slow_steps
from neurosim.device.pulses import blind_train, open_loop
from neurosim.device.sampling import sample_conductances
from neurosim.device.write_verify import Programmed, programming_curve, write_verify

__all__ = [
    "Cells",
    "DeviceConfig",
    "Programmed",
    "WriteVerifyConfig",
    "acceleration",
    "blind_train",
    "check_read_voltage",
    "chord",
    "current",
    "drift",
    "drift_exponents",
    "formed_probability",
    "linear_error",
    "make_cells",
    "open_loop",
    "program",
    "programming_curve",
    "read_noise",
    "relax",
    "sample_conductances",
    "slow_noise",
    "slow_steps",
    "write_verify",
]
