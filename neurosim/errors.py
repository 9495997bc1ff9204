"""The exception tree.

    NeurosimError
      CardError           (ValueError)   a device, macro or dataset card is wrong or unknown
      ExperimentError     (ValueError)   an experiment's TOML, an override or an option is wrong
      EventFileError      (ValueError)   an event or image file does not hold what its format says
      MeasurementError    (ValueError)   a file of measured data is wrong or says too little
      ImageError          (ValueError)   a macro image, or what was measured on its chip, is wrong or damaged
      DataNotFoundError   (FileNotFoundError)  a data set is not on this machine
      OutOfRangeError     (ValueError)   a physical value leaves the range its card was fitted in
      ShapeError          (ValueError)   arrays disagree with each other
      BaselineError       (ValueError)   a baseline's name, config, circuit or input is wrong
      MissingExtraError   (ImportError)  an optional package is not installed

Every message says which value in which place, what is allowed, and what to do. The command line
prints it without a traceback and exits with 2.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class NeurosimError(Exception):
    """Base class of every error that neurosim raises on purpose."""


class CardError(NeurosimError, ValueError):
    """A device, macro or dataset card is wrong or unknown."""


class ExperimentError(NeurosimError, ValueError):
    """An experiment's TOML, an override or an option is wrong."""


class EventFileError(NeurosimError, ValueError):
    """An event or image file does not hold what its format says."""


class MeasurementError(NeurosimError, ValueError):
    """A file of measured data does not hold what its format says, or too little to fit a law to."""


class ImageError(NeurosimError, ValueError):
    """A macro image, or a file of what was measured on its chip, is wrong, damaged or does not fit."""


class DataNotFoundError(NeurosimError, FileNotFoundError):
    """A data set is not on this machine."""


class OutOfRangeError(NeurosimError, ValueError):
    """A physical value leaves the range in which its card was fitted."""


class ShapeError(NeurosimError, ValueError):
    """Arrays that belong together disagree in shape."""


class BaselineError(NeurosimError, ValueError):
    """A baseline's name, config, circuit or input is wrong."""


class MissingExtraError(NeurosimError, ImportError):
    """An optional package is not installed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Hint for a wrong name: the nearest right one, else the list of right ones."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
