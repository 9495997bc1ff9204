"""Event streams: file readers, a simulated camera, named data sets, binning."""

from neurosim.events.types import Binned, Events, Sensor

__all__ = ["Binned", "Events", "Sensor"]
