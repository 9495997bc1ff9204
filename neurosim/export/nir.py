"""The liquid and its projection as a NIR graph, for other simulators and chips.

    input -> w_in -> liquid <-> w_rec,   liquid -> readout -> output

NIR's neurons are differential equations, which importers integrate by Euler's rule at the step they are told:

    LIF      v <- v + (dt/tau) (R I - v)              tau = dt/(1 - beta), R = 1, weights times tau/dt
    CubaLIF  i <- i + (dt/tau_syn) (w I - i), v <- v + (dt/tau) (R i - v)
             tau_syn = dt/(1 - alpha), w = tau_syn/dt, R = tau/dt

so that ``v <- beta v + I`` and ``i <- alpha i + I`` stand there again, up to rounding. Importers run a cycle
with a delay of one step, so that spikes reach ``w_rec`` when they should.
"""

import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from neurosim import store
from neurosim.config import StrictModel
from neurosim.errors import ExperimentError, MissingExtraError, OutOfRangeError
from neurosim.events.types import Binned
from neurosim.export import ExportWarning
from neurosim.export.projection import Projection
from neurosim.reservoir import Liquid
from neurosim.reservoir.states import readings_for

if TYPE_CHECKING:
    import nir

    from neurosim.export.design import Design

SCHEMA = "neurosim.nir/1"
MAX_WEIGHTS = 1 << 28  # of a dense matrix, 1 GiB as float32
CHECKED = 64  # test vectors that a graph is run on
Float = npt.NDArray[np.float32]

EVERY_IMPORTER = (
    "give the importer dt = {dt:g} s, which none reads from the file: Norse assumes 1e-3 s, SpikingJelly "
    "1e-4 s, and snnTorch 1.0 takes nothing else than 1e-4 s"
)
RECURRENT = (
    "snnTorch 1.0 imports recurrent graphs wrongly (it feeds the input to w_rec) or not at all, "
    "sinabs 3.1 not at all; SpikingJelly 2.0 and Norse 1.1 run them rightly"
)
PER_NEURON = "SpikingJelly and snnTorch refuse thresholds that differ: export with one threshold for all"
NO_LEAK = "SpikingJelly refuses beta = 0 (tau must exceed dt)"


class NirConfig(StrictModel):
    """How a graph is written.

    Attributes:
        one_threshold: Weights in units of their neuron's threshold, so that all thresholds are 1, as several
            importers need; False, or thresholds that are all the same: in units of the weights' last bit, of
            which they are whole numbers.
        dt: Step that the graph is written for [s], whatever the recordings' is: time constants follow it, and
            spikes stay the same; None: the recordings'.
    """

    one_threshold: bool = True
    dt: float | None = Field(None, gt=0)


@dataclass(frozen=True, eq=False)
class NirExport:
    """A graph and what a user must know of it.

    Attributes:
        graph: The ``nir.NIRGraph``.
        dropped: What the chip has and the graph has not.
        warnings: Importers that are known to change the dynamics, and what to tell them.
    """

    graph: "nir.NIRGraph"
    dropped: tuple[str, ...]
    warnings: tuple[str, ...]


def to_nir(
    liquid: Liquid,
    projection: Projection | None = None,
    *,
    n_steps: int,
    config: NirConfig | None = None,
    origin: dict[str, Any] | None = None,
) -> NirExport:
    """A liquid, and its projection where NIR can say it, as a graph of standard primitives.

    With a projection, the graph's output is what a step adds to the class scores: the sum over the steps is
    largest at the answer. Without, and where the projection is dropped, it is the liquid's spikes.

    Args:
        liquid: Liquid after homeostasis.
        projection: Trained projection, or None.
        n_steps: Time steps of a recording.
        config: How it is written.
        origin: Goes into the metadata (fingerprint, versions, ...).

    Raises:
        ExperimentError: If NIR cannot say the liquid's dynamics: reset by subtraction, refractory period.
        OutOfRangeError: If a matrix would be too large, or a time constant too long for float32.
        MissingExtraError: If ``nir`` is not installed.

    Assumes: importers fire above the threshold or at it. It is raised by half its last bit (by one, where it
        is not 1 for all), so that a sum of weights that meets it fires nobody in either. Importers round in
        other places than our kernel, by some 2e-7 of the threshold: a membrane as near as that, one in some
        10^7, may go either way, and with it all that follows in that recording of a recurrent liquid.
    Source: docs of NIR 1.0; dynamics as docs/engines.md.
    """
    nir = _nir()
    _refuse(liquid)
    config = config or NirConfig()
    dt = liquid.dt if config.dt is None else config.dt
    wiring = liquid.wiring
    n_weights = wiring.n_neurons * max(wiring.inputs.n_pre, wiring.n_neurons if wiring.recurrent else 0)
    if n_weights > MAX_WEIGHTS:
        raise OutOfRangeError(
            f"{n_weights:,} weights in one matrix of the graph, at most {MAX_WEIGHTS:,}: take fewer "
            "neurons or a smaller sensor, or export memory images ('mem'), which are sparse"
        )
    # the first number above the threshold fires in importers that compare with > and in those with >=
    fires = np.nextafter(liquid.threshold, np.float32(np.inf))
    same = np.all(fires == fires[0])
    scaled = config.one_threshold and not same
    unit = (liquid.threshold.astype(np.float64) + fires) / 2 if scaled else np.ones(len(fires))
    beta, alpha = _shares(liquid)
    gain = 1.0 if alpha else 1 / (1 - beta)
    inputs, recurrent = (
        (matrix.T * (gain / unit)[:, None]).astype(np.float32) for matrix in liquid.weights.matrices
    )
    nodes: dict[str, Any] = {
        "input": nir.Input(input_type={"input": np.array([wiring.inputs.n_pre])}),
        "w_in": nir.Linear(weight=inputs),
        "liquid": _neurons(nir, beta, alpha, np.ones_like(fires) if scaled else fires, dt),
    }
    edges = [("input", "w_in"), ("w_in", "liquid")]
    if wiring.recurrent is not None:
        nodes["w_rec"] = nir.Linear(weight=recurrent)
        edges += [("liquid", "w_rec"), ("w_rec", "liquid")]
    dropped = _dropped(liquid, projection, n_steps)
    last, size, gives = "liquid", wiring.n_neurons, "spikes"
    if projection is not None and not any(text.startswith("projection:") for text in dropped):
        weight, bias = _affine(liquid, projection, n_steps)
        nodes["readout"] = nir.Affine(weight=weight, bias=bias)
        edges += [("liquid", "readout")]
        last, size, gives = (
            "readout",
            len(bias),
            "scores of a step; their sum over the steps is largest at the answer",
        )
    nodes["output"] = nir.Output(output_type={"output": np.array([size])})
    edges += [(last, "output")]
    beware = [EVERY_IMPORTER.format(dt=dt)]
    beware += [RECURRENT] if wiring.recurrent is not None else []
    beware += [PER_NEURON] if not same and not scaled else []
    beware += [NO_LEAK] if liquid.beta == 0 else []
    metadata = {
        "schema": SCHEMA,
        "dt": float(dt),
        "n_steps": n_steps,
        "time_unit": "s",
        "weight_unit": "threshold of the neuron" if scaled else f"{liquid.weights.lsb!r}",
        "beta": beta,
        "alpha": alpha,
        "reset": "zero",
        "fires": "above the threshold",
        "delay": "a spike reaches w_rec one step after it was fired",
        "output": gives,
        "codes": np.asarray(projection.codes if last == "readout" and projection else [], np.int64),
        "dropped": "\n".join(dropped),
        "warnings": "\n".join(beware),
        **(origin or {}),
    }
    return NirExport(nir.NIRGraph(nodes, edges, metadata=metadata), dropped, tuple(beware))


def write_nir(design: "Design", out: Path, config: NirConfig | None = None) -> list[Path]:
    """Write a design as a NIR file; warns of what the graph leaves out and of importers that change it.

    The graph is run on the test vectors as importers do; ``spikes`` and ``spikes_differ`` in the metadata say
    how many spikes the design fires and how many differ.
    """
    made = to_nir(
        design.chip.liquid,
        design.projection,
        n_steps=design.n_steps,
        config=config,
        origin={
            "name": design.experiment.name,
            "fingerprint": design.fingerprint,
            "chip": design.chip.number,
            "seed": design.chip.seed,
            "neurosim": version("neurosim-codesign"),
            "classes": "\n".join(design.classes),
        },
    )
    notes = [f"not in the graph: {text}" for text in made.dropped]
    ours = design.vectors.spikes[:CHECKED]
    total, differ = (
        int(ours.sum()),
        int((run_graph(made.graph, design.vectors.binned[:CHECKED]) != ours).sum()),
    )
    made.graph.metadata |= {"spikes": total, "spikes_differ": differ}
    if differ:
        why = "importers round elsewhere"
        if design.liquid.adc_step:
            why = "it has no converters; a design with array.adc_bits = 0 has none either"
        notes.append(
            f"run on {len(ours)} test vectors, the graph differs in {differ} spikes of {total}: {why}"
        )
    for text in (*notes, *made.warnings):
        warnings.warn(text, ExportWarning, stacklevel=2)
    save_nir(out, made.graph)
    return [out]


def run_graph(graph: "nir.NIRGraph", binned: Binned) -> npt.NDArray[np.uint8]:
    """Spikes (n, n_steps, n_neurons) of the liquid of a graph of `to_nir`, in float32 as importers run it.

    Every node by Euler's rule at the step in the metadata; ``w_rec`` gets the spikes of the step before.
    """
    neurons, dt = graph.nodes["liquid"], np.float32(graph.metadata["dt"])
    w_in = graph.nodes["w_in"].weight.T
    w_rec = graph.nodes["w_rec"].weight.T if "w_rec" in graph.nodes else None
    synaptic = hasattr(neurons, "tau_syn")
    leak = dt * (1 / (neurons.tau_mem if synaptic else neurons.tau))
    spikes = np.zeros((len(binned), binned.n_steps, w_in.shape[1]), np.uint8)
    frames = np.stack([binned.dense(i) for i in range(len(binned))])
    v, current = np.zeros((2, len(binned), w_in.shape[1]), np.float32)
    for t in range(binned.n_steps):
        drive = frames[:, t].astype(np.float32) @ w_in
        if w_rec is not None and t:
            drive += spikes[:, t - 1].astype(np.float32) @ w_rec
        if synaptic:
            current += dt * (1 / neurons.tau_syn) * (neurons.w_in * drive - current)
            drive = neurons.r * current
        v += leak * (drive - v)
        fired = v > neurons.v_threshold
        v[fired] = 0
        spikes[:, t] = fired
    return spikes


def save_nir(path: Path, graph: "nir.NIRGraph") -> None:
    """Write a graph atomically, compressed."""
    nir = _nir()
    with store.atomic_path(path) as file:
        nir.write(file, graph)


def _nir() -> Any:
    try:
        import nir
    except ImportError:
        raise MissingExtraError(
            "the package 'nir' is not installed; say: pip install 'neurosim-codesign[export]'"
        ) from None
    return nir


def _refuse(liquid: Liquid) -> None:
    """Dynamics that NIR has no words for, and without which spikes are others altogether."""
    if liquid.config.reset == "subtract":
        raise ExperimentError(
            "reservoir.reset = 'subtract': NIR's neurons are reset to a value; use reset 'zero', or export "
            "memory images ('mem')"
        )
    if liquid.n_refractory:
        raise ExperimentError(
            f"reservoir.t_refractory (={liquid.config.t_refractory:g} s): NIR's neurons have no refractory "
            "period; set it to 0, or export memory images ('mem')"
        )


def _shares(liquid: Liquid) -> tuple[float, float]:
    """Leaks of membrane and synaptic current as the kernel has them, in float32."""
    beta, alpha = (float(np.float32(share)) for share in (liquid.beta, liquid.alpha))
    if max(beta, alpha) == 1:
        raise OutOfRangeError(
            f"reservoir.tau_mem or tau_syn: nothing leaks in a step of {liquid.dt:g} s; lower it"
        )
    return beta, alpha


def _neurons(nir: Any, beta: float, alpha: float, threshold: Float, dt: float) -> Any:
    """The neurons, every parameter a vector."""
    one = np.ones_like(threshold)
    tau, tau_syn = (one * _time_constant(share, dt) for share in (beta, alpha))
    common = {
        "v_leak": 0 * one,
        "v_reset": 0 * one,
        "v_threshold": threshold,
    }
    if not alpha:
        return nir.LIF(tau=tau, r=one, **common)
    r, w = (one * np.float32(1 / (1 - share)) for share in (beta, alpha))
    return nir.CubaLIF(tau_mem=tau, tau_syn=tau_syn, r=r, w_in=w, **common)


def _time_constant(share: float, dt: float) -> np.float32:
    """The tau for which dt times 1/tau, in float32 as importers compute it, is nearest to 1 - share."""
    near = np.float32(dt / (1 - share))
    taus = [near + np.float32(k) * np.spacing(near) for k in range(-4, 5)]
    return min(taus, key=lambda tau: abs(float(np.float32(dt) * (np.float32(1) / tau)) - (1 - share)))


def _dropped(liquid: Liquid, projection: Projection | None, n_steps: int) -> tuple[str, ...]:
    """What the graph leaves out, and why."""
    readings, states = readings_for(liquid, n_steps), liquid.config.states
    effects = {
        "read noise of the cells: NIR has none": liquid.weights.variance_unit > 0,
        "converters of the columns: NIR has none, the graph adds exact currents": liquid.adc_step > 0,
    }
    if projection is not None:
        effects |= {
            f"projection: of {readings.n_segments} segments, and NIR knows no time": readings.n_segments > 1,
            "projection: of traces, and NIR knows no time": states.kind == "trace",
            "projection: of square roots, which NIR has not": projection.scaling.root,
            "projection: a hidden layer behind the sum over the steps": len(projection.layers) > 1,
        }
    return tuple(text for text, there in effects.items() if there)


def _affine(liquid: Liquid, projection: Projection, n_steps: int) -> tuple[Float, Float]:
    """Weight (n_out, n_neurons) and bias (n_out,) of a step, with the states' scaling folded in."""
    (weight, bias), *_ = projection.layers
    readings = readings_for(liquid, n_steps)
    scaled = weight.astype(np.float64) / projection.scaling.scale.astype(np.float64)[:, None]
    offset = bias - projection.scaling.mean.astype(np.float64) @ scaled
    per_spike = scaled[readings.feature] * float(readings.step_weight[0])
    return per_spike.T.astype(np.float32), (offset / n_steps).astype(np.float32)
