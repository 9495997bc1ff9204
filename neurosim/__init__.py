"""neurosim: co-design of neuromorphic algorithms and resistive-memory hardware.

A device card and a task made of events go in; what a chip built from them would score comes out.
The names below are the public API; each is imported when it is first used, so that importing
neurosim stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurosim.array import ArrayConfig as ArrayConfig
    from neurosim.cards import list_cards as list_cards
    from neurosim.cards import load_dataset as load_dataset
    from neurosim.cards import load_device as load_device
    from neurosim.cards import load_macro as load_macro
    from neurosim.device import DeviceConfig as DeviceConfig
    from neurosim.device import make_cells as make_cells
    from neurosim.errors import NeurosimError as NeurosimError
    from neurosim.events import Events as Events
    from neurosim.events.binning import BinningConfig as BinningConfig
    from neurosim.events.binning import bin_events as bin_events
    from neurosim.events.camera import CameraConfig as CameraConfig
    from neurosim.events.camera import simulate_camera as simulate_camera
    from neurosim.events.datasets import load as load_events  # noqa: F401 (in _HOME)
    from neurosim.events.tonic import from_tonic as from_tonic
    from neurosim.experiment import Experiment as Experiment
    from neurosim.experiment import load_experiment as load_experiment
    from neurosim.experiment import run as run
    from neurosim.readout import ReadoutConfig as ReadoutConfig
    from neurosim.readout import make_readout as make_readout
    from neurosim.report import write_html as write_html
    from neurosim.reservoir import LiquidTransformer as LiquidTransformer
    from neurosim.reservoir import ReservoirConfig as ReservoirConfig
    from neurosim.reservoir import make_chip as make_chip
    from neurosim.reservoir import simulate as simulate
    from neurosim.results import Result as Result
    from neurosim.study.sweep import sweep as sweep

_HOME = {
    "ArrayConfig": "array",
    "BinningConfig": "events.binning",
    "CameraConfig": "events.camera",
    "DeviceConfig": "device",
    "Events": "events",
    "Experiment": "experiment",
    "LiquidTransformer": "reservoir",
    "NeurosimError": "errors",
    "ReadoutConfig": "readout",
    "ReservoirConfig": "reservoir",
    "Result": "results",
    "bin_events": "events.binning",
    "from_tonic": "events.tonic",
    "list_cards": "cards",
    "load_dataset": "cards",
    "load_device": "cards",
    "load_events": "events.datasets",
    "load_experiment": "experiment",
    "load_macro": "cards",
    "make_cells": "device",
    "make_chip": "reservoir",
    "make_readout": "readout",
    "run": "experiment",
    "simulate": "reservoir",
    "simulate_camera": "events.camera",
    "sweep": "study.sweep",
    "write_html": "report",
}
_RENAMED = {"load_events": "load"}

__all__ = sorted(_HOME)  # noqa: PLE0605 (a list made of literal keys)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module 'neurosim' has no attribute '{name}'")
    return getattr(import_module(f"neurosim.{_HOME[name]}"), _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return __all__
