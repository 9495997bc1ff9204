"""Trainable projections from liquid states to classes, every one a scikit-learn classifier."""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from neurosim.readout.config import Kind, ReadoutConfig

if TYPE_CHECKING:
    from neurosim.readout.base import Readout

__all__ = ["READOUTS", "ReadoutConfig", "make_readout"]

# By name, because the network readouts import torch and the others do not.
READOUTS: dict[Kind, str] = {
    "linear": "neurosim.readout.network:LinearReadout",
    "mlp": "neurosim.readout.network:MLPReadout",
    "ridge": "neurosim.readout.convex:RidgeReadout",
    "logistic": "neurosim.readout.convex:LogisticReadout",
    "svm": "neurosim.readout.convex:SVMReadout",
    "hyperspherical": "neurosim.readout.projection:HypersphericalReadout",
    "nested": "neurosim.readout.projection:NestedReadout",
    "homeostatic": "neurosim.readout.homeostatic:HomeostaticReadout",
    "neuromodulated": "neurosim.readout.neuromodulated:NeuromodulatedReadout",
    "sage": "neurosim.readout.sage:SageReadout",
}


def make_readout(config: ReadoutConfig, *, seed: int) -> "Readout":
    """The untrained readout that ``config`` describes; the same seed trains the same readout."""
    readout: Readout = resolve_name(READOUTS[config.kind])(**config.knobs(), random_state=seed)
    return readout
