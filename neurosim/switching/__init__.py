"""Switching physics: cells as differential equations that voltages drive."""

from neurosim.switching.drive import (
    Trace,
    apply_pulses,
    apply_waveform,
    conductance,
    current,
    iv_loop,
    set_time,
)
from neurosim.switching.jart import JartVcm1b, vary
from neurosim.switching.stanford import StanfordPku
from neurosim.switching.vteam import Vteam

__all__ = [
    "JartVcm1b",
    "StanfordPku",
    "Trace",
    "Vteam",
    "apply_pulses",
    "apply_waveform",
    "conductance",
    "current",
    "iv_loop",
    "set_time",
    "vary",
]
