"""A sweep from Python."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from neurosim.config import validate
from neurosim.errors import ExperimentError
from neurosim.experiment import Experiment
from neurosim.study.config import StudyConfig
from neurosim.study.results import to_dataset
from neurosim.study.run import run_study
from neurosim.study.worker import EVALUATE

if TYPE_CHECKING:
    import xarray as xr


def sweep(
    experiment: Experiment,
    axes: Mapping[str, Sequence[Any]],
    *,
    chips: int | None = None,
    folder: Path | None = None,
    jobs: int = 1,
    data_dir: Path | None = None,
    evaluate: str = EVALUATE,
) -> "xr.Dataset":
    """Run an experiment at every combination of some values.

    Args:
        experiment: The base.
        axes: Dotted key of the experiment to its values, e.g. ``{"device.sigma_read": [0.0, 0.05]}``.
        chips: Device instances of every point; None takes the experiment's.
        folder: Where results and a report are kept; the same call goes on there where it stopped, and one
            with more values adds them. None keeps nothing.
        jobs: Processes.
        data_dir: Folder of the data sets; None is ``datasets.data_dir()``.
        evaluate: ``module:function`` that takes an experiment and ``data_dir`` and returns a `Row`.

    Returns:
        Accuracy by axes and chip; energy, latency, area and more by axes. See `to_dataset`.

    Raises:
        ExperimentError: If a key or a value is wrong, or the folder holds another study.
        NeurosimError: If the data are missing.
    """
    study = {
        "schema": "neurosim.study/1",
        "name": experiment.name,
        "base": experiment.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "sweep": {"chips": chips, "axes": {key: list(map(_plain, values)) for key, values in axes.items()}},
    }
    config = validate(StudyConfig, study, where="sweep", error=ExperimentError)
    with ExitStack() as stack:
        where = folder or Path(stack.enter_context(TemporaryDirectory()))
        result = run_study(config, where, jobs=jobs, data_dir=data_dir, evaluate=evaluate)
    return to_dataset(result)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
