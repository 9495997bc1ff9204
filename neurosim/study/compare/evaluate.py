"""One fit of a comparison: a model trained, tested, and disturbed; plain numbers out."""

import contextlib
import copy
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.array import digital_cost
from neurosim.baselines import baseline_class, make_baseline
from neurosim.baselines.base import Baseline, NetworkBaseline, Operations
from neurosim.baselines.hardware import PLATFORM, HardwareCost, hardware_costs, work_amount
from neurosim.baselines.robustness import fgsm, pgd
from neurosim.baselines.training import as_float, outputs, seeded, total_seconds
from neurosim.cards import load_platform
from neurosim.config import fingerprint
from neurosim.errors import BaselineError
from neurosim.events.types import Binned
from neurosim.experiment import Encoded, Experiment, chip_cost, data_key, instance, prepare
from neurosim.readout.base import Readout
from neurosim.reservoir.chip import Chip, make_chip
from neurosim.study.compare.config import LIQUID, CompareConfig, RobustnessConfig
from neurosim.study.compare.plan import Fit, Task
from neurosim.study.compare.recordings import Recordings, states_of
from neurosim.study.compare.results import POST_SELECTION, UNITARITY
from neurosim.study.points import at

N_TIMED = 200  # recordings that means over recordings, as of a liquid's time, are measured on

# the recordings of the last fit: all of a comparison have the same
_recordings: dict[tuple[str, Path | None], Recordings] = {}


class FitRow(TypedDict, total=False):
    """What a comparison keeps of a fit. A trial has no more than the first four.

    Attributes:
        accuracy: On the test part, or of a trial on the validation part.
        validation_accuracy: On the validation part.
        set: Values of its config.
        seconds: Wall time of the training, states of a liquid included [s].
        correct: Which test recordings were told right, one bit each, as hex digits.
        n_train, n_validation, n_test: Recordings.
        n_parameters, n_quantum_parameters: Trained numbers.
        operations: Work of one inference, see `hardware.work_amount`.
        costs: `HardwareCost` as tables.
        infer_seconds: Wall time per test recording here [s].
        robustness: Accuracy by what was disturbed.
        notes: Epochs, largest deviation from unitarity, share of runs that a post-selecting circuit keeps.
    """

    accuracy: float
    validation_accuracy: float
    set: dict[str, Any]
    seconds: float
    correct: str
    n_train: int
    n_validation: int
    n_test: int
    n_parameters: int
    n_quantum_parameters: int
    operations: float
    costs: list[dict[str, Any]]
    infer_seconds: float
    robustness: dict[str, float]
    notes: dict[str, float]


def evaluate(task: Task, data_dir: Path | None = None) -> FitRow:
    """Train a model and measure it.

    Raises:
        NeurosimError: If a key or value is wrong, or the recordings do not fit the model.
    """
    recordings = _load(task.experiment, data_dir).fewer(task.fit.n_train, task.fit.seed)
    if task.fit.baseline == LIQUID:
        return _liquid(task, recordings)
    return _baseline(task, recordings)


def _load(experiment: Experiment, data_dir: Path | None) -> Recordings:
    key = (data_key(experiment), data_dir)
    if key not in _recordings:
        _recordings.clear()  # before the next are loaded, so that memory holds one set
        _recordings[key] = Recordings(experiment, prepare(experiment, data_dir=data_dir), data_dir)
    if _recordings[key].experiment != experiment:  # another liquid on the same recordings
        _recordings[key] = replace(_recordings[key], experiment=experiment)
    return _recordings[key]


# ---- liquid ------------------------------------------------------------------------------------------


def _liquid(task: Task, recordings: Recordings) -> FitRow:
    fit, number, prepared = task.fit, task.fit.seed, recordings.prepared
    experiment = at(task.experiment, fit.set)
    one = recordings.encoded(number, experiment)
    start = perf_counter()
    chip, states, readout = instance(experiment, number, prepared=prepared)
    readout_seconds = perf_counter() - start
    validation = float(readout.validation_accuracy_)
    test = prepared.binned["test"]
    states_of(chip, test[:1])  # compiles, or loads what is compiled
    start = perf_counter()
    states_of(chip, test[:N_TIMED])
    infer = (perf_counter() - start) / min(N_TIMED, len(test))
    n_encoded = len(prepared.binned["train"]) + len(prepared.binned["validation"])
    row = FitRow(
        accuracy=validation,
        validation_accuracy=validation,
        set=dict(fit.set),
        seconds=readout_seconds + infer * n_encoded,
    )
    if fit.trial is not None:
        return row
    row |= _tested(readout.predict(states["x_test"]) == test.labels, recordings)
    if not fit.whole:
        return row
    weights = sum(weights.size for weights, _ in readout.layers_)
    work = replace(one.work, n_macs=weights)
    macro = chip_cost(chip.crossbar, work, getattr(readout, "matrices_", ()))
    digital = digital_cost(load_platform(PLATFORM), work, "spike-aware")
    row |= FitRow(
        n_parameters=weights + sum(bias.size for _, bias in readout.layers_),
        n_quantum_parameters=0,
        operations=float(work.n_driven + weights),
        costs=[
            asdict(HardwareCost("macro", macro.platform, macro.energy, macro.latency)),
            asdict(HardwareCost("digital", digital.platform, digital.energy, digital.latency)),
        ],
        infer_seconds=infer,
        notes={},
    )
    if robust := task.compare.robustness:
        row["robustness"] = _liquid_robustness(robust, experiment, chip, readout, recordings)
    return row


def _liquid_robustness(
    robust: RobustnessConfig, experiment: Experiment, chip: Chip, readout: Readout, recordings: Recordings
) -> dict[str, float]:
    """Accuracy on the first test recordings, clean and disturbed, and of cells with more read noise."""
    test = recordings.prepared.binned["test"][: robust.n]

    def score(of: Chip, binned: Binned) -> float:
        return float((readout.predict(states_of(of, binned)) == test.labels).mean())

    scores = {"clean": score(chip, test)}
    for share in robust.input_noise:
        scores[f"input noise {share:g}"] = score(chip, recordings.disturbed_events(share, robust.n))
    for sigma in robust.read_noise:
        worse = make_chip(
            experiment.reservoir,
            experiment.device.model_copy(update={"sigma_read": sigma}),
            experiment.array,
            sensor=test.sensor,
            dt=test.dt,
            seed=experiment.seed,
            number=chip.number,
            like=chip,
        )
        scores[f"read noise {sigma:g}"] = score(worse, test)
    return scores


# ---- baselines ---------------------------------------------------------------------------------------


def _baseline(task: Task, recordings: Recordings) -> FitRow:
    fit, chip = task.fit, task.fit.seed
    config = settings(fit, task.compare)
    model = make_baseline(fit.baseline, config, seed=fit.seed)

    def view(part: Any) -> Any:
        return recordings.view(part, model.kind, fit.inputs, chip)

    train, held = ((view(part), recordings.labels(part)) for part in ("train", "validation"))
    code = store.code("baselines", "study/compare")
    key = fingerprint(asdict(fit), config, recordings.prepared.content, code)
    checkpoint = store.cache_dir() / "compare" / key
    start = perf_counter()
    model.fit(*train, held, checkpoint=checkpoint)
    seconds = perf_counter() - start
    shutil.rmtree(checkpoint, ignore_errors=True)
    row = FitRow(
        accuracy=model.validation_accuracy_,
        validation_accuracy=model.validation_accuracy_,
        set=dict(fit.set),
        seconds=seconds,
    )
    if fit.trial is not None:
        return row
    test = view("test")
    start = perf_counter()
    predicted = model.predict(test)
    infer = (perf_counter() - start) / len(test)
    row |= _tested(predicted == recordings.labels("test"), recordings)
    if not fit.whole:
        return row
    network = isinstance(model, NetworkBaseline)
    work = model.operations()
    liquid = recordings.encoded(chip) if fit.inputs == "states" else None
    row |= FitRow(
        n_parameters=model.n_parameters,
        n_quantum_parameters=model.n_quantum_parameters if network else 0,
        operations=work_amount(work) + (liquid.work.n_driven if liquid else 0.0),
        costs=_costs(work, liquid),
        infer_seconds=infer,
        notes=_notes(model, test),
    )
    if (robust := task.compare.robustness) and not fit.reference:
        row["robustness"] = _robustness(robust, model, fit, recordings, test)
    return row


def settings(fit: Fit, compare: CompareConfig) -> dict[str, Any]:
    """The config of a fit's baseline as tables: what the study says of all, of the model, of this fit."""
    found = baseline_class(fit.baseline)
    fields = found.Config.model_fields
    config: dict[str, Any] = {"training": dict(compare.training)} if "training" in fields else {}
    if fit.inputs == "states" and "inputs" in fields:
        config["inputs"] = "states"
    default = found.Config().model_dump()
    for key, value in fit.set.items():
        *tables, last = key.split(".")
        place: dict[str, Any] = config
        known: Any = default
        for table in tables:
            place, known = place.setdefault(table, {}), known.get(table) if isinstance(known, dict) else None
        listed = isinstance(known, dict) and isinstance(known.get(last), tuple | list)
        place[last] = [value] if listed and not isinstance(value, tuple | list) else value
    if fit.variant is not None:
        config.setdefault("quantum", {})["variant"] = fit.variant
    return config


def _tested(correct: npt.NDArray[np.bool_], recordings: Recordings) -> FitRow:
    return FitRow(
        accuracy=float(correct.mean()),
        correct=np.packbits(correct).tobytes().hex(),
        n_train=len(recordings.labels("train")),
        n_validation=len(recordings.labels("validation")),
        n_test=len(recordings.labels("test")),
    )


def _costs(work: Operations, one: Encoded | None) -> list[dict[str, Any]]:
    """What an inference costs; on the states of a liquid, what the liquid costs is there too."""
    costs = hardware_costs(work)
    if one is None:
        return [asdict(cost) for cost in costs]
    liquid = chip_cost(one.chip.crossbar, one.work)

    def beside(own: Mapping[str, float], more: Mapping[str, float]) -> dict[str, float]:
        if not own or not more:
            return {}
        return {"liquid": more["total"], **own, "total": own["total"] + more["total"]}

    return [
        asdict(
            HardwareCost(
                cost.which,
                f"{liquid.platform} + {cost.platform}",
                beside(cost.energy, liquid.energy),
                beside(cost.latency, liquid.latency),
            )
        )
        for cost in costs
    ]


def _notes(model: Baseline, test: Any) -> dict[str, float]:
    if not isinstance(model, NetworkBaseline):
        return {}
    notes = {
        "epoch": float(model.best_epoch_),
        "seconds per epoch": total_seconds(model.history_) / len(model.history_),
    }
    if any(hasattr(part, "unitarity_error") for part in model.network_.modules()):
        notes[UNITARITY] = max(epoch.unitarity_error for epoch in model.history_)
    if hasattr(model.network_, "kept"):
        notes[POST_SELECTION] = _kept(model, test[:N_TIMED])
    return notes


def _kept(model: NetworkBaseline, samples: Any) -> float:
    """Geometric mean over samples of the share of runs that a post-selecting circuit keeps."""
    import torch

    where = next(model.network_.parameters()).device
    x = as_float(torch.tensor(model._samples(samples))).to(where)
    with torch.no_grad():
        x = x if model.features_ is None else outputs(model.features_, x)
        return float(10 ** model.network_.kept(x).double().mean())  # type: ignore[operator]


def _robustness(
    robust: RobustnessConfig, model: Baseline, fit: Fit, recordings: Recordings, test: Any
) -> dict[str, float]:
    """Accuracy on the first test recordings, clean and disturbed, and of a hybrid on worse devices."""
    n = robust.n
    x, y = test[:n], recordings.labels("test")[:n]

    def score(of: Baseline, samples: Any) -> float:
        return float((of.predict(samples) == y).mean())

    scores = {"clean": score(model, x)}
    for share in robust.input_noise:
        disturbed = recordings.disturbed(share, n, model.kind, fit.inputs, fit.seed)
        scores[f"input noise {share:g}"] = score(model, disturbed)
    pictures = fit.inputs == "images" or (fit.inputs == "events" and model.kind == "image")
    if isinstance(model, NetworkBaseline) and pictures and model.kind != "sequence":
        with contextlib.suppress(BaselineError):  # a model without a gradient
            for size in robust.attack:
                scores[f"FGSM {size:g}"] = score(model, fgsm(model, x, y, size))
                scores[f"PGD {size:g}"] = score(model, pgd(model, x, y, size, step=size / 4, n_steps=10))
    if fit.variant in ("full", "no_entanglement", "frozen") and isinstance(model, NetworkBaseline):
        worse: dict[str, dict[str, Any]] = {}
        if robust.shots:
            worse[f"{robust.shots} shots"] = {"shots": robust.shots}
        worse |= {f"depolarising {p:g}": {"noise": {"depolarising": p}} for p in robust.depolarising}
        for name, changes in worse.items():
            with contextlib.suppress(BaselineError):  # what has no meaning for a model stays out of its row
                scores[name] = score(on_device(model, changes), x)
    return scores


def on_device(model: NetworkBaseline, quantum: Mapping[str, Any]) -> NetworkBaseline:
    """A trained hybrid with the same weights, whose circuits run with other ``quantum`` settings.

    Raises:
        BaselineError: If they have no meaning for it.
    """
    config = model.settings.model_dump()
    config["quantum"] |= quantum
    other = copy.copy(model)
    other.config = make_baseline(model.name, config).config
    with seeded(model.random_state, "study/compare/on_device"):
        other.network_ = other.network(model.network_shape_, len(model.classes_))
    other.network_.load_state_dict(model.network_.state_dict())
    other.network_.to(next(model.network_.parameters()).device)
    return other
