"""One point of a study: an experiment in, plain numbers out."""

from pathlib import Path
from typing import TypedDict

from neurosim.experiment import Experiment, Prepared, data_key, prepare, run
from neurosim.reservoir.states import Engine

# the recordings of the last point: most studies change nothing that they depend on
_recordings: dict[tuple[str, Path | None], Prepared] = {}


class Row(TypedDict):
    """What a study keeps of an experiment's result; all of it but ``seconds`` is reproducible to the bit.

    Attributes:
        accuracy: Mean over the chips.
        per_chip: Accuracy of every chip.
        ci95: 95 % interval of the mean.
        n_test: Test recordings.
        validation_accuracy: Mean over the chips on the validation part, by which a search chooses.
        energy, energy_parts: Energy of a recording, and its parts [J].
        latency: Time of a recording on the macro [s].
        area: Area of the macro's tiles [m^2]. Both are None where the macro card does not know them.
        cells, tiles: Cells of a chip, and tiles of the macro that they occupy.
        utilisation: Share of the tiles' cells in use.
        rates: Firing rates before and after homeostasis [Hz].
        array: What wires and converters did.
        seconds: Wall time [s].
        fingerprint: Of the experiment and its recordings.
    """

    accuracy: float
    per_chip: list[float]
    ci95: list[float]
    validation_accuracy: float
    n_test: int
    energy: float
    energy_parts: dict[str, float]
    latency: float | None
    area: float | None
    cells: int
    tiles: int
    utilisation: float
    rates: dict[str, float]
    array: dict[str, float]
    seconds: float
    fingerprint: str


def evaluate(experiment: Experiment, data_dir: Path | None = None, engine: Engine = "numba") -> Row:
    """Run an experiment and reduce its result to a row.

    Raises:
        NeurosimError: See `neurosim.experiment.run`.
    """
    result = run(experiment, prepared=_prepared(experiment, data_dir), engine=engine)
    macro = result.cost[0]
    return Row(
        accuracy=result.accuracy.mean,
        per_chip=list(result.accuracy.per_chip),
        ci95=list(result.accuracy.ci95),
        validation_accuracy=sum(chip.validation_accuracy for chip in result.chips) / len(result.chips),
        n_test=result.n_test,
        energy=result.energy["total"],
        energy_parts={part: value for part, value in result.energy.items() if part != "total"},
        latency=macro.latency.get("total"),
        area=macro.area.get("total"),
        cells=result.cells,
        tiles=result.tiles,
        utilisation=result.utilisation,
        rates=result.rates,
        array=result.array,
        seconds=result.seconds["total"],
        fingerprint=result.fingerprint,
    )


def _prepared(experiment: Experiment, data_dir: Path | None) -> Prepared:
    """The recordings of an experiment, loaded unless those of the point before are the same."""
    key = (data_key(experiment), data_dir)
    if key not in _recordings:
        _recordings.clear()  # before the next are loaded, so that memory holds one set
        _recordings[key] = prepare(experiment, data_dir=data_dir)
    return _recordings[key]
