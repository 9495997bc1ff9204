"""A design: everything that is to be programmed into one chip, as all exporters take it."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import experiment as experiments
from neurosim.cards import DeviceCard, load_device
from neurosim.config import fingerprint
from neurosim.device import Cells
from neurosim.device.conductance import state_law
from neurosim.device.config import DeviceConfig, number
from neurosim.errors import ExperimentError
from neurosim.events.types import Binned, Sensor
from neurosim.experiment import Experiment, Prepared, Progress
from neurosim.export.layout import Layout, lay_out
from neurosim.export.projection import Projection, projection_of
from neurosim.export.restore import read_run
from neurosim.reservoir import Chip, Liquid, simulate
from neurosim.reservoir.states import Engine

Float = npt.NDArray[np.float32]

GRID = 4096  # conductances among which a card's levels are looked for
SIGMAS = 2.0  # half-width of a tolerance in standard deviations of the technology


@dataclass(frozen=True, eq=False)
class Vectors:
    """Test recordings and what the design makes of them without any noise.

    Attributes:
        binned: Events in: the active channels of every step.
        spikes: uint8 (n, n_steps, n_neurons).
        answer: int64 (n,), class that the float32 projection answers.
        answer_integer: int64 (n,), class that the integer projection answers.
    """

    binned: Binned
    spikes: npt.NDArray[np.uint8]
    answer: npt.NDArray[np.int64]
    answer_integer: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Design:
    """One chip to be made.

    The first axis of arrays of cells is 0 for G+ and 1 for G-, the others are those of the crossbar of pairs.

    Attributes:
        experiment: The experiment that it comes from.
        resolved: The same as plain data, cards inlined.
        fingerprint: That of the run.
        versions: Package versions.
        n_steps: Time steps of a recording; their length is ``liquid.dt``.
        sensor: Pixel grid that the channels number.
        chip: Its cells have the target conductances, I/V at the read voltage; its liquid has the thresholds
            after homeostasis, the weights as integers of ``liquid.weights.lsb``, and the card's read noise.
        layout: Where the cells stand on tiles.
        tolerance: float32 (2, rows, cols) [S], half-width of the band around the target.
        formed: bool (2, rows, cols), cells that get the forming pulse, whether it forms them or not.
        projection: The trained projection, in float32 and in integers.
        classes: Class names.
        vectors: Test vectors.
        quantised: Whether conductances stand on levels and thresholds on whole converter steps.
        levels: float64 (n_levels,) [S], the levels, or empty.
        accuracy: Share of right answers on the test part: ``simulated`` by the run, ``integer`` with the
            integer projection instead and, where ``quantised``, ``quantised`` with everything quantised.
    """

    experiment: Experiment
    resolved: dict[str, Any]
    fingerprint: str
    versions: dict[str, str]
    n_steps: int
    sensor: Sensor
    chip: Chip
    layout: Layout
    tolerance: Float
    formed: npt.NDArray[np.bool_]
    projection: Projection
    classes: tuple[str, ...]
    vectors: Vectors
    quantised: bool
    levels: npt.NDArray[np.float64]
    accuracy: dict[str, float]

    @property
    def liquid(self) -> Liquid:
        """The liquid without read noise, which gives the spikes of the test vectors."""
        return noiseless(self.chip.liquid)

    @property
    def target(self) -> Float:
        """Target conductances [S], float32 (2, rows, cols)."""
        return np.stack([self.chip.crossbar.pos.g, self.chip.crossbar.neg.g])

    @property
    def threshold_unit(self) -> float:
        """One code of the thresholds [lsb]: a converter's step, or one lsb where converters are ideal."""
        return self.chip.liquid.adc_step or 1.0

    @property
    def threshold_codes(self) -> npt.NDArray[np.int32]:
        """Thresholds in converter codes, int32 (n_neurons,)."""
        codes = np.rint(self.chip.liquid.threshold.astype(np.float64) / self.threshold_unit)
        return np.clip(codes, 1, np.iinfo(np.int32).max).astype(np.int32)


def noiseless(liquid: Liquid) -> Liquid:
    """The same liquid without white read noise."""
    none = np.empty(0, np.uint8)
    return replace(liquid, weights=replace(liquid.weights, variance=none, variance_unit=0.0))


def make_design(
    source: Experiment | Path | str,
    number: int = 0,
    *,
    n_vectors: int = 16,
    quantised: bool = False,
    levels: int | None = None,
    weight_bits: int = 16,
    data_dir: Path | None = None,
    prepared: Prepared | None = None,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> Design:
    """The design of one chip of a finished run, or of an experiment.

    Targets are the conductances that the simulated chip has when it is used, without read noise; those of
    cells that are programmed are kept in the card's window. Cells of a technology with ``[forming]`` keep
    what forming gives them: their targets are what one simulated chip got, an example to be replaced by
    measured ones (`readback`).

    Args:
        source: Folder of a run, its ``result.json``, an experiment's TOML or example, or an experiment.
        number: Number of the device instance.
        n_vectors: Test vectors, the first recordings of the test part.
        quantised: Put conductances on levels and thresholds on whole converter steps.
        levels: Number of levels, evenly in the card's window; None: as many as the card's errors keep apart.
        weight_bits: Bits of the integer projection's weights, 2 to 16.
        data_dir: Folder of the data sets.
        prepared: Recordings of the experiment, from `prepare`; None loads them.
        engine, progress: See `run`.

    Raises:
        NeurosimError: If the run, a card, a data set or an argument is wrong; says what to do.
    """
    _check(n_vectors, quantised, levels, weight_bits)
    expected = None
    if isinstance(source, Experiment):
        experiment = source
    else:
        experiment, expected = read_run(source)
    if not 0 <= number < experiment.chips:
        raise ExperimentError(
            f"chip {number} of '{experiment.name}', which has {experiment.chips}; choose 0 to "
            f"{experiment.chips - 1}"
        )
    if experiment.readout.analog:
        raise ExperimentError(
            f"'{experiment.name}' multiplies its projection in memory (readout.analog), whose cells no "
            "export holds; run it with readout.analog = false"
        )
    if levels and load_device(experiment.device.card).forming is not None:
        raise ExperimentError(
            f"{levels} levels have no effect on cells of card '{experiment.device.card}', which are formed "
            "and not programmed; leave levels out"
        )
    prepared = prepared or experiments.prepare(experiment, data_dir=data_dir, progress=progress)
    resolved = experiments.resolve(experiment)
    mark = fingerprint(resolved, prepared.content)
    if expected not in (None, mark):
        raise ExperimentError(
            f"{source}: the run has fingerprint {expected}, but its experiment now has {mark}: cards or "
            "recordings are others than those it was run with; run it again"
        )
    chip, states, readout = experiments.instance(
        experiment, number, prepared=prepared, engine=engine, progress=progress
    )
    test = prepared.binned["test"]
    crossbar, formable = chip.crossbar, chip.crossbar.pos.card.forming is not None
    steps = np.empty(0) if not quantised or formable else conductance_levels(experiment.device, chip, levels)
    chip = with_targets(chip, steps)
    target = np.stack([chip.crossbar.pos.g, chip.crossbar.neg.g])
    projection = projection_of(readout, states["x_train"], bits=weight_bits)
    accuracy = {
        "simulated": float(readout.score(states["x_test"], test.labels)),
        "integer": float((projection.predict_integer(states["x_test"]) == test.labels).mean()),
    }
    design = Design(
        experiment=experiment,
        resolved=resolved,
        fingerprint=mark,
        versions={name: version(name) for name in experiments.PACKAGES},
        n_steps=test.n_steps,
        sensor=test.sensor,
        chip=chip,
        layout=lay_out(crossbar.pos.g.shape, crossbar.tiles, crossbar.macro),
        tolerance=tolerance(crossbar.pos.card, experiment.device, target),
        formed=np.ones(target.shape, np.bool_),
        projection=projection,
        classes=test.classes,
        vectors=test_vectors(chip, test[:n_vectors], projection),
        quantised=quantised,
        levels=steps,
        accuracy=accuracy,
    )
    if not quantised:
        return design
    theta = (design.threshold_codes * design.threshold_unit).astype(np.float32)
    chip = replace(chip, liquid=chip.liquid.with_thresholds(theta))
    x = chip.states(test, chip.reads(chip.liquid.config.n_reads), use="test", engine=engine).x
    accuracy["quantised"] = float((projection.predict_integer(x) == test.labels).mean())
    return replace(design, chip=chip, vectors=test_vectors(chip, test[:n_vectors], projection))


def _check(n_vectors: int, quantised: bool, levels: int | None, weight_bits: int) -> None:
    for what, value, low, high in (
        ("test vectors", n_vectors, 1, 4096),
        ("levels", 2 if levels is None else levels, 2, GRID),
        ("weight bits", weight_bits, 2, 16),
    ):
        if not low <= value <= high:
            raise ExperimentError(f"{value} {what}; choose {low} to {high}")
    if levels and not quantised:
        raise ExperimentError(
            f"{levels} levels have no effect where nothing is quantised; quantise the export"
        )


def test_vectors(chip: Chip, binned: Binned, projection: Projection) -> Vectors:
    """What a chip without noise makes of recordings."""
    states = simulate(noiseless(chip.liquid), binned, spikes=True)
    spikes = np.zeros((0, 0, 0), np.uint8) if states.spikes is None else states.spikes
    channels, ends = binned.packed()
    ptr = ends[np.arange(len(binned))[:, None] * binned.n_steps + np.arange(binned.n_steps + 1)]
    packed = replace(binned, channels=channels, ptr=ptr)
    return Vectors(packed, spikes, projection.predict(states.x), projection.predict_integer(states.x))


def with_targets(chip: Chip, levels: npt.NDArray[np.float64]) -> Chip:
    """The chip with cells that conduct I/V at the read voltage, in the window and on levels [S], if any."""
    crossbar = chip.crossbar
    card, v_read = crossbar.pos.card, np.float32(crossbar.macro.v_read.value)
    low, high = np.float32(card.conductance.g_min.value), np.float32(card.conductance.g_max.value)

    def aimed(cells: Cells) -> Cells:
        g: npt.NDArray[Any] = cells.g
        if crossbar.chord is not None:
            g = g * crossbar.chord(g, np.full_like(g, v_read))
        if card.forming is None:
            g = np.clip(g, low, high)
        if levels.size:
            edges = (levels[1:] + levels[:-1]) / 2
            g = levels[np.searchsorted(edges, g)]
        return replace(cells, g=g.astype(np.float32))

    return chip.with_cells(aimed(crossbar.pos), aimed(crossbar.neg))


def tolerance(card: DeviceCard, device: DeviceConfig, target: Float) -> Float:
    """Half-width [S] of the band around targets [S] that cells may end in, of the same shape.

    The band of write-verify where there is one, else two standard deviations of what the card says of
    programming: sqrt(sigma_prog^2 + (sigma_c2c G)^2 + (sigma_d2d G)^2). Rounded to 8 bits.
    """
    if device.write_verify:
        return _round(device.write_verify.tolerance + device.write_verify.tolerance_relative * target)
    d2d = number(card.conductance.sigma_d2d) if device.sigma_d2d is None else device.sigma_d2d
    parts = [d2d * target]
    if device.sigma_prog is not None:
        parts.append(device.sigma_prog * target)
    elif card.programming:
        parts.append(number(card.programming.sigma_c2c) * target)
        parts.append(np.maximum(state_law(card, card.programming.sigma_prog, target), 0))
    return _round(SIGMAS * np.sqrt(np.sum(np.square(parts), axis=0)))


def _round(band: npt.NDArray[Any]) -> Float:
    """Eight significant bits: a tolerance has no more, and files of it become a quarter as large."""
    mantissa, exponent = np.frexp(band)
    rounded: Float = np.ldexp(np.rint(mantissa * 256) / 256, exponent).astype(np.float32)
    return rounded


def conductance_levels(device: DeviceConfig, chip: Chip, n: int | None) -> npt.NDArray[np.float64]:
    """Levels [S] that a cell is programmed to, rising; empty: any conductance.

    Args:
        device: Treatment of the cells.
        chip: Its card says the window and the errors.
        n: Number of levels, evenly in the window; None: as close as their tolerances do not overlap.
    """
    card = chip.crossbar.pos.card
    low, high = card.conductance.g_min.value, card.conductance.g_max.value
    if n:
        return np.linspace(low, high, n)
    grid = np.linspace(low, high, GRID)
    band = tolerance(card, device, grid.astype(np.float32)).astype(np.float64)
    if not band.any():
        return np.empty(0)
    chosen = [0]
    for i in range(1, GRID):
        if grid[i] - grid[chosen[-1]] >= band[i] + band[chosen[-1]]:
            chosen.append(i)
    return grid[chosen] if len(chosen) > 1 else np.array([low, high])
