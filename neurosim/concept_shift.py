"""Learning under concept shift: labels swap while projections learn online at rates that move or not.

recordings -> liquid of every chip -> states -> one stream, many learners -> ConceptShiftResult
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from neurosim import rng
from neurosim.array import ArrayConfig
from neurosim.cards import load_dataset, load_device, load_macro
from neurosim.config import StrictModel, fingerprint, validate
from neurosim.device import DeviceConfig
from neurosim.errors import ExperimentError
from neurosim.events import datasets
from neurosim.events.binning import BinningConfig
from neurosim.events.camera import CameraConfig
from neurosim.events.parts import DataPart
from neurosim.experiment import PACKAGES, Clock, Progress, package_version, read_source
from neurosim.readout.config import Modulation, Scaling
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.states import Engine
from neurosim.reservoir.transformer import LiquidTransformer
from neurosim.results import ConceptShiftResult

if TYPE_CHECKING:
    from rich.console import Console

RULES: tuple[Modulation, ...] = ("constant", "homeostatic", "random")
N_POINTS = 100  # of a curve over the stream


class StreamConfig(StrictModel):
    """The stream of labelled recordings and those that learn from it.

    Attributes:
        swaps_per_epoch: How often in an epoch two classes swap their labels; each number is a stream.
        epochs: Passes over the recordings.
        learning_rates: First rates of the learners [1]; every rule starts at each of them.
        learning_rate: The one of them at which the rules are compared with the same start [1].
        batch_size: Recordings per step.
        scaling: Of the states, as ``readout.scaling``.
        whole_batch: Whether a learner tries its step on the whole batch; else, as the authors' code, on the
            first recording of it.
    """

    swaps_per_epoch: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        (0.0, 1.0, 4.0, 16.0, 64.0), min_length=1, strict=False
    )
    epochs: int = Field(5, ge=1)
    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (0.3, 1.0, 3.0, 10.0, 30.0, 100.0), min_length=2, strict=False
    )
    learning_rate: float = Field(1.0, gt=0)
    batch_size: int = Field(10, ge=1)
    scaling: Scaling = "standard"
    whole_batch: bool = False

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for name in ("swaps_per_epoch", "learning_rates"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: the same number twice; leave one out")
        if self.learning_rate not in self.learning_rates:
            raise ValueError(f"learning_rate (={self.learning_rate}) must be one of learning_rates")
        return self


class ConceptShift(StrictModel):
    """One concept-shift experiment, as its TOML file says it.

    Attributes:
        name: Name in reports.
        seed: Seed of every random stream.
        chips: Device instances, each with a stream of its own; a rate is tuned on the others.
        data: Recordings of the stream.
        camera: Constants of the simulated camera, for data sets made from images.
        events, device, array, reservoir: As in an experiment.
        stream: The stream and the learners.
    """

    schema_: Literal["neurosim.concept_shift/1"] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    seed: int = Field(0, ge=0)
    chips: int = Field(5, ge=2)
    data: DataPart
    camera: CameraConfig = CameraConfig()
    events: BinningConfig = BinningConfig()
    device: DeviceConfig = DeviceConfig()
    array: ArrayConfig = ArrayConfig()
    reservoir: ReservoirConfig
    stream: StreamConfig = StreamConfig()


def load_concept_shift(source: Path | str, overrides: Sequence[str] = ()) -> ConceptShift:
    """Read the TOML file of a concept-shift experiment; arguments and errors as `read_source`."""
    data, where = read_source(source, overrides)
    return validate(ConceptShift, data, where=where, error=ExperimentError)


@dataclass(frozen=True, eq=False)
class Stream:
    """What the learners of one stream did.

    Attributes:
        accuracy: (n_learners,), share of right answers, each given before its label was seen.
        curve: (n_learners, n_points), the same in equal parts of the stream.
        rate: (n_learners, n_points), mean rate there.
    """

    accuracy: npt.NDArray[np.float64]
    curve: npt.NDArray[np.float64]
    rate: npt.NDArray[np.float64]


def run_stream(
    states: npt.NDArray[Any],
    labels: npt.NDArray[np.int64],
    config: StreamConfig,
    *,
    swaps_per_epoch: float,
    rules: tuple[Modulation, ...],
    rates: tuple[float, ...],
    seed: int,
    name: str,
) -> Stream:
    """Let learners answer and learn recording by recording while the labels of two classes swap now and then.

    Args:
        states: (n, n_features).
        labels: Class codes (n,).
        config: Epochs, batch and scaling.
        swaps_per_epoch: Swaps, evenly over an epoch; the two classes are drawn at random.
        rules, rates: Rule and first rate of every learner.
        seed: Seed of the stream.
        name: Name of its random streams: the order, the swaps and the rule ``random``.
    """
    import torch

    from neurosim.readout.base import Samples, fit_scaling
    from neurosim.readout.homeostatic import Learners, mean_square

    rows = np.arange(len(labels))
    samples = Samples(states, labels, rows, fit_scaling(states, rows, config.scaling))
    n, n_classes = len(rules), int(labels.max()) + 1
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.from_numpy(samples.scaling.mean).dtype
    learners = Learners(
        torch.zeros(n, n_classes, states.shape[1], dtype=dtype, device=device),
        torch.zeros(n, n_classes, dtype=dtype, device=device),
        torch.tensor(rates, dtype=torch.float64, device=device),
        rules,
        mean_square(samples),
        torch.Generator(device).manual_seed(rng.key(seed, f"{name}/random")),
        whole_batch=config.whole_batch,
    )
    order, swaps = rng.stream(seed, f"{name}/order"), rng.stream(seed, f"{name}/swaps")
    per_epoch = math.ceil(len(labels) / config.batch_size)
    n_steps = per_epoch * config.epochs
    due = np.floor((np.arange(n_steps) + 1) * swaps_per_epoch / per_epoch).astype(np.int64)
    meaning = torch.arange(n_classes, device=device)
    points = min(N_POINTS, n_steps)
    right, seen = torch.zeros(n, points, dtype=torch.float64, device=device), np.zeros(points)
    rate = torch.zeros_like(right)
    step = 0
    for _ in range(config.epochs):
        for which in np.array_split(order.permutation(len(labels)), per_epoch):
            for _ in range(due[step] - (due[step - 1] if step else 0)):
                a, b = swaps.choice(n_classes, 2, replace=False)
                meaning[[a, b]] = meaning[[b, a]]
            z, y = (torch.from_numpy(part).to(device) for part in samples.take(which))
            k = step * points // n_steps
            right[:, k] += learners.learn(z, y, meaning).sum(-1)
            rate[:, k] += learners.rate * len(which)
            seen[k] += len(which)
            step += 1
    hits, total = right.cpu().numpy(), seen.sum()
    return Stream(hits.sum(1) / total, hits / seen, rate.cpu().numpy() / seen)


def run_concept_shift(
    config: ConceptShift,
    *,
    data_dir: Path | None = None,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> ConceptShiftResult:
    """Run a concept-shift experiment on all its chips.

    Args:
        config: What to run.
        data_dir: Folder of the data sets; None is ``datasets.data_dir()``.
        engine: Engine of the spiking dynamics.
        progress: Called as stages advance.

    Raises:
        NeurosimError: If a card, a data set or the experiment is wrong; says what to do.
    """
    show = progress or (lambda _stage, _done, _total: None)
    clock = Clock()
    part, stream = config.data, config.stream
    recordings = datasets.load(
        part.dataset,
        part.split,
        data_dir=data_dir,
        skip=part.skip,
        n=part.n,
        seed=config.seed,
        camera=config.camera,
        progress=lambda done, total: show("events", done, total),
    )
    clock.lap("events")
    learners = [(rule, rate) for rule in RULES for rate in stream.learning_rates]
    rules, rates = zip(*learners, strict=True)
    done, n_streams = 0, config.chips * len(stream.swaps_per_epoch)
    streams: list[list[Stream]] = []
    for chip in range(config.chips):
        liquid = LiquidTransformer(
            config.reservoir,
            events=config.events,
            device=config.device,
            array=config.array,
            seed=config.seed,
            chip=chip,
            engine=engine,
        )
        states = liquid.fit(recordings[: _calibrating(config)]).transform(recordings)
        clock.lap("liquid")
        streams.append([])
        for swaps in stream.swaps_per_epoch:
            show("streams", done, n_streams)
            name = f"concept_shift/{chip}"
            found = run_stream(
                states,
                recordings.labels,
                stream,
                swaps_per_epoch=swaps,
                rules=rules,
                rates=rates,
                seed=config.seed,
                name=name,
            )
            streams[-1].append(found)
            done += 1
        clock.lap("streams")
    show("streams", done, n_streams)
    shape = config.chips, len(stream.swaps_per_epoch), len(RULES), len(stream.learning_rates)
    resolved = _resolved(config)
    return ConceptShiftResult(
        name=config.name,
        fingerprint=fingerprint(resolved, recordings.labels.tolist(), len(recordings.t)),
        experiment=resolved,
        versions={package: package_version(package) for package in PACKAGES},
        rules=RULES,
        learning_rates=stream.learning_rates,
        reference=stream.learning_rates.index(stream.learning_rate),
        swaps_per_epoch=stream.swaps_per_epoch,
        epochs=stream.epochs,
        n_recordings=len(recordings),
        accuracy=_stacked(streams, "accuracy").reshape(shape),
        curve=_stacked(streams, "curve").reshape(*shape, -1),
        rate=_stacked(streams, "rate").reshape(*shape, -1),
        seconds=clock.seconds(),
    )


def _stacked(streams: list[list[Stream]], name: str) -> npt.NDArray[np.float64]:
    return np.array([[getattr(one, name) for one in chip] for chip in streams])


def _calibrating(config: ConceptShift) -> int:
    """Recordings that thresholds adapt on."""
    return config.reservoir.homeostasis.n_recordings if config.reservoir.homeostasis else 200


def _resolved(config: ConceptShift) -> dict[str, Any]:
    """The experiment as plain data, its cards inlined."""
    device, macro = load_device(config.device.card), load_macro(config.array.macro)
    cards = {"device": device, "macro": macro, "dataset": load_dataset(config.data.dataset)}
    resolved = config.model_dump(mode="json", by_alias=True)
    resolved["device"]["card"], resolved["array"]["macro"] = device.name, macro.name
    return resolved | {"cards": {name: card.model_dump(mode="json") for name, card in cards.items()}}


def run_and_write(
    source: str,
    overrides: list[str],
    *,
    folder: Callable[[str], Path],
    data_dir: Path | None,
    engine: Engine,
    progress: Progress,
) -> tuple[Callable[["Console"], None], tuple[Path, ...]]:
    """What ``neurosim run`` does with such a file: run it, write ``result.json`` and ``report.html``.

    Args:
        source, overrides: See `read_source`.
        folder: Makes the folder of the report from the experiment's name.
        data_dir, engine, progress: See `run_concept_shift`.

    Returns:
        What prints the result, and the files.
    """
    from neurosim.report.concept_shift import show, write

    config = load_concept_shift(source, overrides)
    out = folder(config.name)
    result = run_concept_shift(config, data_dir=data_dir, engine=engine, progress=progress)
    return partial(show, result), write(result, out)
