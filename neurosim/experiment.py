"""From a TOML file to a result: reads top to bottom as the data flow.

device card -> crossbar -> liquid -> states -> readout -> Result
recordings  -> steps ---------^
"""

import importlib.metadata
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from neurosim import store
from neurosim.array import (
    ArrayConfig,
    Cost,
    Crossbar,
    Work,
    build_crossbar,
    compare,
    count_operations,
    in_memory,
    macro_cost,
    wire_error,
)
from neurosim.cards import (
    list_cards,
    load_dataset,
    load_device,
    load_macro,
    load_platform,
    shipped_folder,
)
from neurosim.config import StrictModel, fingerprint, read_toml, validate
from neurosim.device import DeviceConfig
from neurosim.errors import ExperimentError, did_you_mean
from neurosim.events import kept, parts
from neurosim.events.binning import BinningConfig
from neurosim.events.parts import PARTS, DataConfig, Part
from neurosim.events.types import Binned, Events
from neurosim.readout import ReadoutConfig, make_readout
from neurosim.readout.base import Readout
from neurosim.reservoir.chip import Chip, chip_states, make_chip
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.states import Engine, simulate
from neurosim.results import ChipResult, Example, Result, accuracy_interval

if TYPE_CHECKING:
    from neurosim.array.mvm import AnalogMatrix

# called with the name of a stage, how much of it is done and how much there is
Progress = Callable[[str, int, int], None]
CODE_OF_STATES = ("experiment.py", "quantity.py", "rng.py", "counter.py", "device", "array", "reservoir")
CHIPS_AT_ONCE = 5  # whose states are in memory together
PACKAGES = (
    "neurosim-codesign",
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "torch",
    "snntorch",
    "brian2",
    "espeakng-loader",
)


class AgeingConfig(StrictModel):
    """A chip that is fitted at one age and used at another, ``device.t_after_programming``.

    Attributes:
        trained_at: Age at which thresholds, converters and readout are fitted [s].
        thresholds: At the age of use ``frozen`` as they were fitted, or ``adapted`` again, without labels.
    """

    trained_at: float = Field(0.0, ge=0)
    thresholds: Literal["frozen", "adapted"] = "frozen"


class Experiment(StrictModel):
    """One experiment, as its TOML file says it.

    Attributes:
        name: Name in reports.
        seed: Seed of every random stream.
        chips: Device instances; the result is their mean with its interval.
        data, events, device, array, reservoir, readout: Configs of the stages.
        ageing: How a chip is fitted young and used old; None: fitted at the age of use.
    """

    schema_: Literal["neurosim.experiment/1"] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    seed: int = Field(0, ge=0)
    chips: int = Field(3, ge=1)
    data: DataConfig
    events: BinningConfig = BinningConfig()
    device: DeviceConfig = DeviceConfig()
    array: ArrayConfig = ArrayConfig()
    reservoir: ReservoirConfig
    readout: ReadoutConfig = ReadoutConfig()
    ageing: AgeingConfig | None = None


def load_experiment(source: Path | str, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment's TOML file; arguments and errors as `read_source`."""
    data, where = read_source(source, overrides)
    return validate(Experiment, data, where=where, error=ExperimentError)


def read_source(source: Path | str, overrides: Sequence[str] = ()) -> tuple[dict[str, Any], str]:
    """The tables of a TOML file with its overrides, not yet checked, and the path they are from.

    Args:
        source: The file, or the name of a shipped example.
        overrides: ``key=value`` with a dotted key and a TOML value; a value that is not TOML is text, and
            none at all takes the key out of the file.

    Raises:
        ExperimentError: If the file, a key or a value is wrong.
    """
    path = Path(source)
    if path.suffix != ".toml" and not path.is_file():
        examples = {file.stem: file for file in shipped_folder("examples").glob("*.toml")}
        if str(source) not in examples:
            raise ExperimentError(
                f"unknown example '{source}'; {did_you_mean(str(source), examples)} "
                "(your own experiment: give the path of its .toml)"
            )
        path = examples[str(source)]
    data = read_toml(path, ExperimentError)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key.strip():
            raise ExperimentError(f"--set {override}: expected key=value, e.g. device.sigma_read=0.1")
        *tables, name = key.strip().split(".")
        table = data
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ExperimentError(f"--set {override}: '{part}' is a value, not a table; shorten the key")
        if not value.strip():
            table.pop(name, None)
            continue
        try:
            table[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            table[name] = value.strip()
    return data, str(path)


def resolve(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain data with its cards inlined: what its fingerprint is taken of.

    Raises:
        CardError: If a card is unknown or wrong.
    """
    device, macro = load_device(experiment.device.card), load_macro(experiment.array.macro)
    resolved = experiment.model_dump(mode="json", by_alias=True)
    # a card counts by what it says, not by where its file lies
    resolved["device"]["card"], resolved["array"]["macro"] = device.name, macro.name
    parts = [experiment.data.train, experiment.data.test, experiment.data.validation]
    names = sorted({source.dataset for part in parts if part is not None for source in part.sources})
    resolved["cards"] = {
        "device": device.model_dump(mode="json"),
        "macro": macro.model_dump(mode="json"),
        "platforms": [load_platform(name).model_dump(mode="json") for name in list_cards("platform")],
        "datasets": [load_dataset(name).model_dump(mode="json") for name in names],
    }
    return resolved


@dataclass(frozen=True, eq=False)
class Prepared:
    """Recordings of an experiment, binned and split, for all that have data, events and seed alike.

    Attributes:
        key: Fingerprint of what the experiments must have alike.
        binned: The three parts.
        shown: Events of the first test recording.
        content: Fingerprint of the recordings.
        seconds: Wall time of loading and of binning.
    """

    key: str
    binned: dict[Part, Binned]
    shown: Events
    content: str
    seconds: dict[str, float]


def prepare(
    experiment: Experiment, *, data_dir: Path | None = None, progress: Progress | None = None
) -> Prepared:
    """Load, bin and split the recordings of an experiment, so that several runs may share them.

    What is made is kept in the cache, from where all processes of the machine map it into memory.

    Args:
        experiment: Its data, events and seed count.
        data_dir: Folder of the data sets; None is ``datasets.data_dir()``.
        progress: Called as loading advances.

    Raises:
        NeurosimError: If a card, a data set or the experiment is wrong; says what to do.
    """
    clock, show = Clock(), progress or _silent
    data, seed = experiment.data, experiment.seed
    chosen = parts.select(data, seed=seed, data_dir=data_dir)
    code = store.code("experiment.py", "rng.py", "events")
    keys = {part: [one.key for one in sources] for part, sources in chosen.items()}

    def make() -> dict[str, Binned]:
        events = parts.load(data, chosen, show)
        clock.lap("events")
        return parts.split(data, experiment.events, events, seed=seed)

    path = store.cache_dir() / "binned" / fingerprint(data_key(experiment), keys, code)
    found = kept.shared(path, make)
    binned = {part: found[part] for part in PARTS}
    clock.lap("binning")
    first, *_ = chosen["test"]
    shown = replace(first, chosen=first.chosen[:1]).load()
    content = fingerprint({part: parts.digest(binned[part]) for part in PARTS})
    clock.lap("events")
    return Prepared(data_key(experiment), binned, shown, content, clock.laps)


def run(
    experiment: Experiment,
    *,
    prepared: Prepared | None = None,
    data_dir: Path | None = None,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> Result:
    """Run an experiment on all its chips.

    Finished stages are kept in the cache by what they depend on, so that an interrupted run goes on where it
    stopped and a changed readout does not simulate again.

    Args:
        experiment: What to run.
        prepared: Its recordings, from `prepare`; None loads them.
        data_dir: Folder of the data sets; None is ``datasets.data_dir()``.
        engine: Engine of the spiking dynamics.
        progress: Called as stages advance.

    Raises:
        NeurosimError: If a card, a data set or the experiment is wrong; says what to do.
    """
    show = progress or _silent
    resolved = resolve(experiment)
    _try_hardware(experiment)
    if prepared is None:
        prepared = prepare(experiment, data_dir=data_dir, progress=show)
    _check_prepared(experiment, prepared)
    binned, content = prepared.binned, prepared.content
    clock = Clock(prepared.seconds)
    scores = []
    maker = _Maker(experiment, resolved, binned, content, engine, show)
    for chip, states in maker.chips(range(experiment.chips)):
        clock.lap("liquid")
        show(f"chip {chip.number}: readout", 0, 1)
        score, predicted, readout = _train(experiment, chip, states, binned)
        scores.append(score)
        if chip.number == 0:
            first, answer = chip, int(predicted[0])
            n_macs = sum(weights.size for weights, _ in readout.layers_)
            work = _work(chip, binned["test"], states["n_spikes_test"], n_macs)
            matrices = getattr(readout, "matrices_", [])
        show(f"chip {chip.number}: readout", 1, 1)
        clock.lap("readout")
    crossbar, tiles = first.crossbar, first.crossbar.tiles
    cost = chip_cost(crossbar, work, matrices)
    n_cells = sum(t.cells for t in (tiles, *(m.tiles for m in matrices)))
    n_tiles = sum(t.n_tiles for t in (tiles, *(m.tiles for m in matrices)))
    homeostasis = experiment.reservoir.homeostasis
    return Result(
        name=experiment.name,
        fingerprint=fingerprint(resolved, content),
        experiment=resolved,
        versions={name: package_version(name) for name in PACKAGES},
        accuracy=accuracy_interval([score.n_correct for score in scores], len(binned["test"])),
        n_train=len(binned["train"]),
        n_validation=len(binned["validation"]),
        n_test=len(binned["test"]),
        classes=binned["test"].classes,
        chips=tuple(scores),
        cells=n_cells,
        tiles=n_tiles,
        utilisation=n_cells / (n_tiles * tiles.tile_cells),
        rates={
            "before": float(np.mean([score.rate_before.mean() for score in scores])),
            "after": float(np.mean([score.rate_after.mean() for score in scores])),
            **({"target": homeostasis.rate_target} if homeostasis else {}),
        },
        energy=cost.energy,
        operations=count_operations(tiles, work),
        array=_array(first, binned["validation"], work),
        programming=_programming(crossbar),
        cost=compare(cost, map(load_platform, list_cards("platform")), work),
        seconds=clock.seconds(),
        example=_example(first, prepared.shown, binned["test"], answer),
    )


def instance(
    experiment: Experiment,
    number: int = 0,
    *,
    prepared: Prepared,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> tuple[Chip, store.Arrays, Readout]:
    """One chip of an experiment as `run` leaves it; quick where the run's states are still in the cache.

    Args:
        experiment: What was run.
        number: Number of the device instance.
        prepared: Its recordings.
        engine, progress: See `run`.

    Returns:
        The chip after calibration, its states (``x_train``, ``x_validation``, ``x_test``), and the readout
        that was trained on them.

    Raises:
        ExperimentError: If the recordings are of an experiment with other data, events or seed.
    """
    _check_prepared(experiment, prepared)
    show = progress or _silent
    maker = _Maker(experiment, resolve(experiment), prepared.binned, prepared.content, engine, show)
    ((chip, states),) = maker.chips([number])
    _, _, readout = _train(experiment, chip, states, prepared.binned)
    return chip, states, readout


def _check_prepared(experiment: Experiment, prepared: Prepared) -> None:
    if prepared.key != data_key(experiment):
        raise ExperimentError(
            f"'{experiment.name}': prepared is of an experiment with other data, events or seed; prepare "
            "this one, or leave prepared out"
        )


@dataclass(frozen=True, eq=False)
class Encoded:
    """Recordings of an experiment as one chip's liquid answers to them.

    Attributes:
        chip: The chip after calibration.
        states: Of the three parts, (n, n_features).
        work: What a test recording asks for, without a projection.
        rate_before, rate_after: Mean firing rate before and after homeostasis [Hz].
    """

    chip: Chip
    states: dict[Part, npt.NDArray[Any]]
    work: Work
    rate_before: float
    rate_after: float


def encode(
    experiment: Experiment,
    prepared: Prepared,
    *,
    resolved: dict[str, Any] | None = None,
    number: int = 0,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> Encoded:
    """States of one chip, from the cache, or simulated and kept; its readout and ``chips`` play no part.

    Args:
        experiment: Which chip, and how it is used.
        prepared: Recordings, from `prepare` or a selection of them whose ``content`` says so.
        resolved: What `resolve` says of the experiment, for callers with many chips.
        number: Number of the device instance.
        engine: Engine of the spiking dynamics.
        progress: Called as the liquid advances.
    """
    show, binned = progress or _silent, prepared.binned
    maker = _Maker(experiment, resolved or resolve(experiment), binned, prepared.content, engine, show)
    ((chip, arrays),) = maker.chips([number])
    return Encoded(
        chip=chip,
        states={part: arrays[f"x_{part}"] for part in PARTS},
        work=_work(chip, binned["test"], arrays["n_spikes_test"], 0),
        rate_before=float(arrays["rate_before"].mean()),
        rate_after=float(arrays["rate_after"].mean()),
    )


def _try_hardware(experiment: Experiment) -> None:
    """One pair of cells and one weight: what a card cannot do is found before the data are read."""
    one = build_crossbar(experiment.array, experiment.device, (1, 1), seed=experiment.seed, chip=0)
    if experiment.readout.analog:
        from neurosim.array.mapping import program_matrix

        program_matrix(
            np.ones((1, 1)),
            experiment.readout.analog,
            experiment.device,
            one.macro,
            seed=experiment.seed,
            name="try",
            wires=experiment.array.wires,
        )


def _silent(_stage: str, _done: int, _total: int) -> None:
    """Nobody to show progress to."""


def data_key(experiment: Experiment) -> str:
    """Fingerprint of what recordings depend on."""
    return fingerprint(experiment.model_dump(mode="json", include={"data", "events", "seed"}))


@dataclass(frozen=True, eq=False)
class _Maker:
    """What it takes to make a chip of an experiment, and its states.

    Attributes:
        experiment, resolved: The experiment, and with its cards.
        binned, content: Its recordings, and their fingerprint.
        engine: Engine of the spiking dynamics.
        show: Called as stages advance.
    """

    experiment: Experiment
    resolved: dict[str, Any]
    binned: dict[Part, Binned]
    content: str
    engine: Engine
    show: Progress

    def chips(self, numbers: Sequence[int]) -> Iterator[tuple[Chip, store.Arrays]]:
        """Chips after homeostasis and their states of all parts: from the cache, or made and kept."""
        for first in range(0, len(numbers), CHIPS_AT_ONCE):
            some = numbers[first : first + CHIPS_AT_ONCE]
            entries = {number: store.load(self.path(number)) for number in some}
            made = self.simulated([number for number in some if entries[number] is None])
            for number, entry in entries.items():
                yield made[number] if entry is None else (self.restored(number, entry[0]), entry[0])

    def path(self, number: int) -> Path:
        """Where a chip's states are kept."""
        stages = ["device", "array", "reservoir", "ageing"]
        cards = self.resolved["cards"]["device"], self.resolved["cards"]["macro"]
        code = store.code(*CODE_OF_STATES)
        upstream = [self.resolved[stage] for stage in stages]
        key = fingerprint(upstream, cards, self.experiment.seed, number, self.content, self.engine, code)
        return store.cache_dir() / "states" / key

    def formed(self, number: int) -> Chip:
        """A chip at the age at which it is fitted."""
        ageing = self.experiment.ageing
        return self._at(ageing.trained_at if ageing else self.experiment.device.t_after_programming, number)

    def aged(self, chip: Chip) -> Chip:
        """The same chip at the age at which it is used."""
        if self.experiment.ageing is None:
            return chip
        return self._at(self.experiment.device.t_after_programming, chip.number, chip)

    def _at(self, age: float, number: int, like: Chip | None = None) -> Chip:
        return make_chip(
            self.experiment.reservoir,
            self.experiment.device.model_copy(update={"t_after_programming": age}),
            self.experiment.array,
            sensor=self.binned["train"].sensor,
            dt=self.binned["train"].dt,
            seed=self.experiment.seed,
            number=number,
            like=like,
        )

    def restored(self, number: int, arrays: store.Arrays) -> Chip:
        """A chip at the age of use with the thresholds and converters that it was given once."""
        chip = self.aged(self.formed(number))
        liquid, bits = chip.liquid.with_thresholds(arrays["threshold"]), chip.crossbar.adc_bits
        full_scale, *_ = arrays["adc_max"]
        return replace(chip, liquid=liquid.with_converter(bits, full_scale) if bits else liquid)

    def simulated(self, numbers: Sequence[int]) -> dict[int, tuple[Chip, store.Arrays]]:
        """Chips and their states, made together and kept."""
        if not numbers:
            return {}
        binned, ageing, homeostasis = (
            self.binned,
            self.experiment.ageing,
            self.experiment.reservoir.homeostasis,
        )
        sample = binned["train"][: homeostasis.n_recordings if homeostasis else 200]
        name = f"chip {numbers[0]}" if len(numbers) == 1 else f"chips {numbers[0]} to {numbers[-1]}"
        done, total = 0, len(numbers) * sum(map(len, binned.values()))

        def advance(n: int) -> None:
            nonlocal done
            done += n
            self.show(f"{name}: liquid", done, total)

        def adapting(number: int) -> Callable[[int, int], None]:
            return lambda passes, all_: self.show(f"chip {number}: homeostasis", passes, all_)

        chips = [self.formed(number) for number in numbers]
        made: list[store.Arrays] = [{"rate_before": chip.firing_rates(sample)} for chip in chips]
        chips = [chip.calibrated(sample, progress=adapting(chip.number)) for chip in chips]
        reads = [chip.reads(len(PARTS) * self.experiment.reservoir.n_reads) for chip in chips]
        for part in PARTS:
            if part == "test" and ageing:
                chips = [self.aged(chip) for chip in chips]
                if ageing.thresholds == "adapted":
                    chips = [chip.readapted(sample, progress=adapting(chip.number)) for chip in chips]
                reads = [chip.reads(self.experiment.reservoir.n_reads) for chip in chips]
            states = chip_states(chips, binned[part], reads, use=part, engine=self.engine, progress=advance)
            for arrays, own in zip(made, states, strict=True):
                arrays |= {f"x_{part}": own.x, f"n_spikes_{part}": own.n_spikes}
        for chip, arrays in zip(chips, made, strict=True):
            arrays |= {"rate_after": chip.firing_rates(sample), "threshold": chip.liquid.threshold}
            arrays["adc_max"] = np.array([chip.liquid.adc_max])
            meta = {"experiment": self.experiment.name, "chip": chip.number}
            store.save(self.path(chip.number), arrays, meta)
        return dict(zip(numbers, zip(chips, made, strict=True), strict=True))


def _train(
    experiment: Experiment, chip: Chip, states: store.Arrays, binned: dict[Part, Binned]
) -> tuple[ChipResult, npt.NDArray[np.int64], Readout]:
    """Train a readout on a chip's states: its score, its answers to the test part, and itself."""
    x = {part: states[f"x_{part}"] for part in PARTS}
    y = {part: binned[part].labels for part in PARTS}
    readout = make_readout(experiment.readout, seed=experiment.seed + chip.number)
    if experiment.readout.analog:
        from neurosim.readout.analog import AnalogReadout

        readout = AnalogReadout(
            readout,
            experiment.readout.analog,
            experiment.device,
            chip.crossbar.macro,
            wires=experiment.array.wires,
            name=f"chip{chip.number}/readout",
            random_state=experiment.seed,
        )
    readout.fit(x["train"], y["train"], validation=(x["validation"], y["validation"]))
    predicted = readout.predict(x["test"])
    k = len(binned["test"].classes)
    confusion = np.bincount(y["test"] * k + predicted, minlength=k * k).reshape(k, k)
    score = ChipResult(
        chip=chip.number,
        n_correct=int(np.trace(confusion)),
        validation_accuracy=float(readout.validation_accuracy_),
        train_accuracy=float(readout.score(x["train"], y["train"])),
        confusion=confusion,
        rate_before=states["rate_before"],
        rate_after=states["rate_after"],
        conductance=np.concatenate([chip.crossbar.pos.g.ravel(), chip.crossbar.neg.g.ravel()]),
        readout=dict(readout.chosen_),
    )
    return score, predicted, readout


def chip_cost(crossbar: Crossbar, work: Work, matrices: Sequence["AnalogMatrix"] = ()) -> Cost:
    """What a recording costs on the macro; the layers of an analog readout are multiplied in memory."""

    def of(array: "Crossbar | AnalogMatrix", asked: Work) -> Cost:
        return macro_cost(array.tiles, array.macro, asked, g_mean=array.g_mean, adc_bits=array.adc_bits)

    cost = of(crossbar, work)
    return in_memory(cost, [of(matrix, matrix.work) for matrix in matrices]) if matrices else cost


def _work(chip: Chip, binned: Binned, n_spikes: npt.NDArray[np.int64], n_macs: int) -> Work:
    """What a recording of the test part asks for, on average."""
    wiring = chip.liquid.wiring
    active, _ = binned.packed()
    fan_out = np.bincount(wiring.inputs.pre, minlength=wiring.inputs.n_pre)
    n_recurrent = len(wiring.recurrent.pre) if wiring.recurrent else 0
    spikes = float(n_spikes.mean())
    return Work(
        n_neurons=wiring.n_neurons,
        n_steps=binned.n_steps,
        n_synapses=len(wiring.inputs.pre) + n_recurrent,
        n_driven=float(fan_out[active].sum()) / len(binned) + spikes * n_recurrent / wiring.n_neurons,
        n_spikes=spikes,
        n_macs=n_macs,
        reads_per_step=wiring.reads_per_step,
        reads_averaged=chip.crossbar.reads_averaged,
    )


def _array(chip: Chip, binned: Binned, work: Work) -> dict[str, float]:
    """What wires and converters did to the currents of a chip."""
    facts = {"row_activity": work.n_driven / (work.n_steps * work.n_synapses)}
    if chip.crossbar.wires:
        error = wire_error(chip.crossbar, seed=chip.seed, chip=chip.number)
        facts |= {f"wire_{name}": value for name, value in asdict(error).items()}
    if chip.crossbar.adc_bits:
        facts["adc_full_scale"] = chip.liquid.adc_full_scale * chip.crossbar.macro.v_read.value
        facts["adc_clipped"] = chip.clipped_share(binned)
    return facts


def _programming(crossbar: Crossbar) -> dict[str, float]:
    """What write-verify of all cells of a chip reached and cost, one cell after the other; empty without."""
    pos, neg = crossbar.pos.programmed, crossbar.neg.programmed
    if pos is None or neg is None:
        return {}
    sides = [pos.summary(), neg.summary()]
    totals = ("energy", "time")
    return {name: sum(s[name] for s in sides) / (1 if name in totals else 2) for name in sides[0]}


def _example(chip: Chip, events: Events, binned: Binned, answer: int) -> Example:
    """The first test recording as the chip sees it."""
    shown = simulate(chip.liquid, binned[:1], noise_key=chip.key("test"), spikes=True)
    sensor, one = events.sensor, events[:1]
    sign = 2 * one.p - 1 if sensor.polarities == 2 else np.ones(len(one.t), np.int64)
    picture = np.bincount(one.y * sensor.width + one.x, sign, sensor.width * sensor.height)
    spikes = shown.spikes if shown.spikes is not None else np.zeros((1, 0, 0), np.uint8)
    return Example(
        picture=picture.reshape(sensor.height, sensor.width).astype(np.float32),
        spikes=spikes[0],
        dt=binned.dt,
        label=events.classes[one.labels[0]],
        predicted=events.classes[answer],
    )


def package_version(package: str) -> str:
    """Version of an installed package, or that it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


class Clock:
    """Wall time by stage."""

    def __init__(self, laps: dict[str, float] | None = None) -> None:
        self._last = perf_counter()
        self.laps = dict(laps or {})

    def lap(self, stage: str) -> None:
        """Give the time since the last lap to ``stage``."""
        now = perf_counter()
        self.laps[stage] = self.laps.get(stage, 0.0) + now - self._last
        self._last = now

    def seconds(self) -> dict[str, float]:
        """Seconds of every stage, and ``"total"``."""
        return {**self.laps, "total": sum(self.laps.values())}
