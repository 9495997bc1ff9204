"""Memory images for a controller or a testbench: $readmemh files, a manifest, and Verilog that reads them."""

import hashlib
import json
import shutil
import subprocess
import warnings
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.errors import ExperimentError, MissingExtraError
from neurosim.events.types import Binned
from neurosim.export import ExportWarning, check_folder
from neurosim.export.fixed import FixedConfig, FixedPoint, Table, fix
from neurosim.export.golden import Answers, run_golden
from neurosim.reservoir.states import readings_for

if TYPE_CHECKING:
    from neurosim.export.design import Design

SCHEMA = "neurosim.mem/1"
VERILOG = ("liquid_tb.v", "liquid_core.v")
SIMULATE = "iverilog -g2005 -o liquid liquid_tb.v liquid_core.v && vvp liquid"


@dataclass(frozen=True, eq=False)
class Image:
    """One memory.

    Attributes:
        words: Integers in the order of the addresses.
        meaning: What a word is, for the manifest.
        order: What the address counts, the fastest index last.
        signed: Whether words are two's complement.
        width: Bits of a word; None: as few as hold all words.
    """

    words: npt.NDArray[Any]
    meaning: str
    order: str
    signed: bool = False
    width: int | None = None

    @property
    def bits(self) -> int:
        """Bits of a word."""
        if self.width is not None:
            return self.width
        flat = self.words.ravel()
        ends = (int(flat.min()), int(flat.max())) if flat.size else (0, 0)
        return max(max(ends[0], ~ends[0], ends[1]).bit_length() + self.signed, 1)

    def text(self) -> str:
        """The words in hexadecimal, one a line."""
        digits, mask = -(-self.bits // 4), (1 << self.bits) - 1
        return "".join(f"{int(word) & mask:0{digits}x}\n" for word in self.words.ravel())


def write_memory(design: "Design", out: Path, config: FixedConfig | None = None) -> list[Path]:
    """Write a design as a folder of memory images (see `save_memory`); warns of what whole numbers change."""
    liquid, vectors = design.chip.liquid, design.vectors
    fixed = fix(
        liquid,
        design.projection,
        readings_for(liquid, design.n_steps),
        max_count=vectors.binned.max_count,
        config=config,
    )
    facts = agreement(fixed, vectors.binned, vectors.spikes, vectors.answer)
    notes = [f"left out: {effect}" for effect in fixed.left_out]
    if facts["spikes_differ"]:
        notes.append(
            f"in whole numbers {facts['spikes_differ']} spikes differ from the {facts['spikes']} of the "
            f"{facts['recordings']} test vectors, and {facts['answers_differ']} answers: beta is "
            f"{facts['beta_fixed']:.9g} for {facts['beta']:.9g}; more leak_bits or fraction_bits help"
        )
    for text in notes:
        warnings.warn(text, ExportWarning, stacklevel=2)
    save_memory(
        out,
        fixed,
        vectors.binned,
        agreement=facts,
        origin={
            "name": design.experiment.name,
            "fingerprint": design.fingerprint,
            "chip": design.chip.number,
            "seed": design.chip.seed,
            "versions": design.versions,
            "classes": list(design.classes),
            "dt": design.liquid.dt,
        },
    )
    return [out]


def save_memory(
    path: Path, fixed: FixedPoint, binned: Binned, *, agreement: dict[str, Any], origin: dict[str, Any]
) -> Answers:
    """Write a folder of images, test vectors, Verilog and ``manifest.json`` (docs/formats.md).

    Args:
        path: Folder; appears as a whole. An earlier export there is replaced, anything else is left alone.
        fixed: Chip in whole numbers.
        binned: Recordings of the test vectors.
        agreement: How far the whole-number chip is from the chip, from `agreement`.
        origin: What the chip comes from (fingerprint, versions, ...), JSON values.

    Returns:
        What the golden model answers, as it stands in the test vectors.

    Raises:
        ShapeError: If the recordings do not fit the chip.
        ExperimentError: If the projection has more than two layers.
        ImageError: If something else stands there.
    """
    if len(fixed.layers) > 2:
        raise ExperimentError(
            f"a projection of {len(fixed.layers)} layers; the core computes one or two: use kind "
            "'linear' or 'mlp'"
        )
    check_folder(path, SCHEMA)
    answers = run_golden(fixed, binned)
    memories = images(fixed)
    vectors = _vectors(fixed, binned, answers)
    with store.atomic_path(path) as folder:
        folder.mkdir()
        files = {}
        for name, image in (memories | vectors).items():
            text = image.text()
            (folder / f"{name}.hex").write_text(text, encoding="ascii")
            files[f"{name}.hex"] = {
                "width": image.bits,
                "depth": int(image.words.size),
                "signed": image.signed,
                "order": image.order,
                "meaning": image.meaning,
                "vector": name in vectors,
                "sha256": hashlib.sha256(text.encode("ascii")).hexdigest(),
            }
        header = _parameters(fixed, memories, vectors, len(binned))
        (folder / "parameters.vh").write_text(header, encoding="ascii")
        for name in VERILOG:
            (folder / name).write_bytes((resources.files("neurosim.export") / name).read_bytes())
        manifest = {
            "schema": SCHEMA,
            **origin,
            "constants": constants(fixed),
            "unit": fixed.unit,
            "codes": fixed.codes.tolist(),
            "left_out": list(fixed.left_out),
            "vectors": {"recordings": len(binned), "labels": binned.labels.tolist()},
            "agreement": agreement,
            "files": files,
            "simulate": SIMULATE,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return answers


def agreement(
    fixed: FixedPoint, binned: Binned, spikes: npt.NDArray[np.uint8], answer: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """How far the whole-number chip is from the simulated one.

    Args:
        fixed: Chip in whole numbers.
        binned: Labelled recordings.
        spikes: What the chip without read noise fires, uint8 (n, n_steps, n_neurons).
        answer: Classes that its float32 projection answers, int64 (n,).
    """
    golden = run_golden(fixed, binned)
    differ = golden.spikes != spikes
    facts: dict[str, Any] = {
        "recordings": len(binned),
        "beta": fixed.beta,
        "beta_fixed": fixed.leak / 2**fixed.leak_bits,
        "alpha": fixed.alpha,
        "alpha_fixed": fixed.synapse_leak / 2**fixed.leak_bits,
        "spikes": int(spikes.sum()),
        "spikes_differ": int(differ.sum()),
        "recordings_differ": int(differ.any(axis=(1, 2)).sum()),
    }
    if fixed.layers:
        codes = fixed.codes[golden.answer]
        facts |= {
            "answers_differ": int((codes != answer).sum()),
            "accuracy": float((answer == binned.labels).mean()),
            "accuracy_fixed": float((codes == binned.labels).mean()),
        }
    return facts


def simulate_verilog(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], dict[str, int]]:
    """Run an exported folder's test vectors through its core in Icarus Verilog.

    Args:
        path: Folder of `save_memory`. Its Verilog is run, which is code: take none from strangers.

    Returns:
        Spikes, uint8 (n_recordings * n_steps, n_neurons); places of the largest scores, int64
        (n_recordings,), empty without a projection; what the testbench itself counted.

    Raises:
        MissingExtraError: If Icarus Verilog is not installed.
        ExperimentError: If it does not accept the core.
    """
    if not (shutil.which("iverilog") and shutil.which("vvp")):
        raise MissingExtraError(
            "Icarus Verilog (iverilog, vvp) is not installed; on Debian: apt install iverilog"
        )
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        shutil.copytree(path, folder)  # the testbench writes beside what it reads
        for command in (["iverilog", "-g2005", "-o", "liquid", *VERILOG], ["vvp", "-N", "liquid"]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ExperimentError(
                    f"{command[0]} on {path}: {(done.stderr or done.stdout).strip()[-500:]}"
                )
        lines = (folder / "observed.txt").read_text(encoding="ascii").split("\n")[:-1]
    n_neurons = json.loads((path / "manifest.json").read_text(encoding="utf-8"))["constants"]["N_NEURONS"]
    rows = [int(line, 16) for line in lines if not line.startswith("answer")]
    spikes = np.array([[row >> j & 1 for j in range(n_neurons)] for row in rows], np.uint8)
    answer = np.array([int(line.split()[1]) for line in lines if line.startswith("answer")], np.int64)
    words = next(line for line in done.stdout.splitlines() if line.startswith("recordings")).split()
    return spikes, answer, {name: int(count) for name, count in zip(words[::2], words[1::2], strict=True)}


# ---- what stands in the files ------------------------------------------------------------------------


def constants(fixed: FixedPoint) -> dict[str, int]:
    """Numbers that are no memories, named as in ``parameters.vh``; effects that are absent have none."""
    out = {
        "N_INPUTS": fixed.n_inputs,
        "N_NEURONS": fixed.n_neurons,
        "N_STEPS": len(fixed.segment),
        "N_SEGMENTS": fixed.n_segments,
        "N_FEATURES": fixed.n_features,
        "N_STATES": fixed.n_states,
        "SUM_BITS": fixed.sum_bits,
        "MEMBRANE_BITS": fixed.membrane_bits,
        "FRACTION_BITS": fixed.fraction_bits,
        "LEAK": fixed.leak,
        "LEAK_BITS": fixed.leak_bits,
        "SUBTRACT": int(fixed.subtract),
        "N_REFRACTORY": fixed.n_refractory,
    }
    if fixed.synapse_leak:
        out["SYNAPSE_LEAK"] = fixed.synapse_leak
    if fixed.adc_max:
        out |= {"ADC_MULTIPLIER": fixed.adc_multiplier, "ADC_BITS": fixed.adc_bits, "ADC_MAX": fixed.adc_max}
    if fixed.layers:
        first, last = fixed.layers[0], fixed.layers[-1]
        out |= {"N_OUT0": first.weight.shape[1], "N_CLASSES": last.weight.shape[1]}
        out |= {"SHIFT0": first.shift} if len(fixed.layers) > 1 else {}
    return out


def images(fixed: FixedPoint) -> dict[str, Image]:
    """The memories by name."""
    out = _side("in", fixed.inputs, "channel")
    if len(fixed.recurrent.weight):
        out |= _side("rec", fixed.recurrent, "neuron")
    out |= {
        "threshold": Image(
            fixed.threshold, "membrane above which a neuron fires", "neuron", True, fixed.membrane_bits
        ),
        "feature": Image(fixed.feature, "state that a neuron's spikes count into", "neuron"),
        "segment": Image(fixed.segment, "segment of a step", "step"),
        "step_weight": Image(fixed.step_weight, "what a spike counts", "step"),
    }
    if len(fixed.enters):
        out["enters"] = Image(fixed.enters, "what a state enters the projection as", "state's value")
    for i, layer in enumerate(fixed.layers):
        source, target = ("state", "hidden unit") if i == 0 else ("hidden unit", "answer")
        target = "answer" if i == len(fixed.layers) - 1 else target
        out[f"weight{i}"] = Image(layer.weight, "weight of the projection", f"{source}, {target}", True)
        out[f"bias{i}"] = Image(layer.bias, "bias of the projection", target, True)
    return out


def _side(name: str, table: Table, row: str) -> dict[str, Image]:
    return {
        f"{name}_ptr": Image(table.ptr, f"first run of a {row}; the last word ends the last run", row),
        f"{name}_post": Image(table.post, "first neuron of a run", "run"),
        f"{name}_start": Image(table.start, f"address in {name}_weight of its weight", "run"),
        f"{name}_length": Image(table.length, "neurons of a run", "run"),
        f"{name}_weight": Image(table.weight, "weight", "as cells are stored", True),
    }


def _vectors(fixed: FixedPoint, binned: Binned, answers: Answers) -> dict[str, Image]:
    """Test vectors: events in, spikes, scores and answers out."""
    channels, ends = binned.packed()
    bits = np.packbits(answers.spikes.reshape(-1, fixed.n_neurons), axis=1, bitorder="little")
    words = [int.from_bytes(row.tobytes(), "little") for row in bits]
    out = {
        "event_ptr": Image(
            ends, "first event of a step; the last word ends the last step", "recording, step"
        ),
        "event_channel": Image(channels, "active channel", "event", width=16),
        "spikes": Image(
            np.array(words, object),
            "spikes, neuron 0 in the lowest bit",
            "recording, step",
            width=fixed.n_neurons,
        ),
    }
    if fixed.layers:
        out["score"] = Image(answers.scores, "score of an answer", "recording, answer", True, 64)
        out["answer"] = Image(
            answers.answer, "answer with the largest score, the first of equals", "recording", width=16
        )
    return out


def _parameters(fixed: FixedPoint, memories: dict[str, Image], vectors: dict[str, Image], n: int) -> str:
    """The header that the Verilog includes."""
    macros: dict[str, int | str] = dict(constants(fixed))
    for name in ("LEAK", "SYNAPSE_LEAK", "ADC_MULTIPLIER", "ADC_MAX"):
        if name in macros:
            macros[name] = f"64'sd{macros[name]}"
    macros |= {f"{name.upper()}_BITS": image.bits for name, image in (memories | vectors).items()}
    for side in ("in", "rec"):
        if f"{side}_ptr" in memories:
            macros[f"{side.upper()}_RUNS"] = memories[f"{side}_post"].words.size
            macros[f"{side.upper()}_WEIGHTS"] = memories[f"{side}_weight"].words.size
    if "enters" in memories:
        macros["ENTERS"] = memories["enters"].words.size
    macros |= {"N_RECORDINGS": n, "N_EVENTS": max(vectors["event_channel"].words.size, 1)}
    return "".join(f"`define {name} {value}\n" for name, value in macros.items())
