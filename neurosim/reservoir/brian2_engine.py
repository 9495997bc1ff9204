"""The Brian2 engine: one network of equations, through which the recordings run one after another.

One second of Brian2's time is one step, so that times are whole numbers. Spikes arrive one step after
they were fired, those of the channels too, so that every recording has a step in front: it clears the
neurons, and the channels fire what the first step of the recording receives. (Replicas of the network, one
per recording, would need every synapse as often.)

Sums are taken in float64, where sums of integers are exact, and everything after them in float32. All code
runs on Brian2's numpy target, which needs no compiler and rounds every operation by itself, as C++ under
Brian2's own ``-ffast-math`` need not. Preferences and the default clock are left alone.
"""

import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim.counter import fill_normals
from neurosim.events.types import Binned
from neurosim.reservoir.kernel import Neurons
from neurosim.reservoir.liquid import Liquid
from neurosim.reservoir.states import Readings

# on import Brian2's parser warns, and Brian2 takes over warnings and the hook of uncaught exceptions
_hook = sys.excepthook
with warnings.catch_warnings(action="ignore"):
    import brian2 as b2
    from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
sys.excepthook = _hook

SUMS = ("sum_w", "sum_variance")
CONVERTERS = ("adc_step", "adc_max", "adc_gain", "adc_offset", "adc_bow")
FLOATS = ("current", "noise", "z", "synapse", "v", "theta", *CONVERTERS)
# a block of its own, because storing is what rounds to float32
ROUND = """
current = sum_w
noise = sum_variance
sum_w = 0
sum_variance = 0
"""
NOISE = """
noise = sqrt(noise * variance_unit) * z
current = current + noise
"""
# adc_step and adc_max are variables: by a constant Brian2 divides by multiplying with the reciprocal
# s_curve is a function of ours: Brian2 turns y*y*y into a power, which rounds differently
BEND = """
current = current * adc_gain + adc_offset
current = current + adc_bow * s_curve(clip(current / adc_max, -1, 1))
"""
CONVERTER = """
current = clip(rint(current / adc_step) * adc_step, -adc_max, adc_max)
"""
SYNAPSE = """
synapse = alpha * synapse + current
current = synapse
"""
MEMBRANE = """
frozen = frozen - int(frozen > 0)
v = int(frozen == 0) * (beta * v + current) + int(frozen > 0) * v
"""


def run_batch(
    liquid: Liquid,
    binned: Binned,
    readings: Readings,
    noise_key: int,
    first_recording: int,
    states: npt.NDArray[Any],
    n_spikes: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.uint8],
) -> None:
    """Run recordings; adds to ``states``, writes ``n_spikes`` and, unless empty, ``spikes``."""
    n, length, cell = len(binned), binned.n_steps + 1, liquid.neurons()
    trains = spikes if spikes.size else np.zeros((n, binned.n_steps, liquid.wiring.n_neurons), np.uint8)
    common = {"clock": b2.Clock(dt=1 * b2.second), "codeobj_class": NumpyCodeObject}
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of Brian2's parser
        channels = b2.NeuronGroup(
            binned.sensor.n_channels, "count : 1", threshold="count > 0", reset="", dtype=np.float64, **common
        )
        neurons = _neurons(cell, common)
        steps = _steps(binned, channels, neurons, cell, noise_key, first_recording)
        feed = b2.NetworkOperation(lambda: next(steps), clock=common["clock"], when="before_groups")
        monitor = b2.SpikeMonitor(neurons, codeobj_class=NumpyCodeObject)
        network = b2.Network(channels, neurons, _synapses(liquid, channels, neurons, common), feed, monitor)
        network.schedule = ["start", "synapses", "groups", "thresholds", "resets", "end"]
        constants = ("beta", "alpha", "n_refractory", "variance_unit")
        namespace = {name: getattr(cell, name) for name in constants}
        for name, function in (("rint", np.rint), ("s_curve", lambda y: y - y * y * y)):
            namespace[name] = b2.Function(function, arg_units=[1], return_unit=1)
        network.run(n * length * b2.second, namespace=namespace)
    if network.t_ < n * length:  # Brian2 turns an interrupt into a quiet stop
        raise KeyboardInterrupt
    i, t = np.divmod(np.asarray(monitor.t_).astype(np.int64), length)
    trains[i, t - 1, np.asarray(monitor.i)] = 1
    readings.add(trains, states)
    n_spikes[:] = trains.sum(axis=(1, 2), dtype=np.int64)


def _neurons(cell: Neurons, common: dict[str, Any]) -> Any:
    """The neurons, with those passes that this liquid needs."""
    neurons = b2.NeuronGroup(
        len(cell.threshold),
        "".join(f"{name} : 1\n" for name in SUMS + FLOATS) + "frozen : integer",
        threshold="v > theta and frozen == 0",
        reset=f"v = {'v - theta' if cell.subtract else '0'}\nfrozen = n_refractory + 1",
        dtype=dict.fromkeys(SUMS, np.float64) | dict.fromkeys(FLOATS, np.float32),
        **common,
    )
    neurons.theta_ = cell.threshold
    for name in CONVERTERS:
        if np.size(value := getattr(cell, name)):
            setattr(neurons, f"{name}_", value)
    passes = (
        (NOISE, cell.variance_unit > 0),
        (BEND, len(cell.adc_gain) > 0),
        (CONVERTER, cell.adc_step > 0),
        (SYNAPSE, cell.alpha > 0),
    )
    neurons.run_regularly(ROUND, when="groups", order=0)
    neurons.run_regularly("".join(code for code, used in passes if used) + MEMBRANE, when="groups", order=1)
    return neurons


def _synapses(liquid: Liquid, channels: Any, neurons: Any, common: dict[str, Any]) -> list[Any]:
    """The synapses from the channels and from the neurons; a channel drives as often as it counts."""
    weights, wiring = liquid.weights, liquid.wiring
    out = []
    for k, (source, side) in enumerate(((channels, wiring.inputs), (neurons, wiring.recurrent))):
        if side is None:
            continue
        values = {"w": weights.matrices[k]}
        if weights.variance_unit > 0:
            values["variance"] = weights.variances[k]
        times = "count_pre * " if source is channels else ""
        synapses = b2.Synapses(
            source,
            neurons,
            "".join(f"{name} : 1\n" for name in values),
            on_pre="".join(f"sum_{name}_post += {times}{name}\n" for name in values),
            dtype=np.float64,
            **common,
        )
        synapses.connect(i=side.pre, j=side.post)
        for name, matrix in values.items():
            setattr(synapses, f"{name}_", matrix[side.pre, side.post])
        out.append(synapses)
    return out


def _steps(
    binned: Binned, channels: Any, neurons: Any, cell: Neurons, noise_key: int, first_recording: int
) -> Iterator[None]:
    """Between the arrival of spikes and the neurons' update, hand every step its numbers."""
    z = np.empty(len(cell.threshold), np.float32)
    for i in range(len(binned)):
        neurons.sum_w_ = neurons.sum_variance_ = 0
        for t in range(binned.n_steps + 1):
            if t < 2:  # frozen in the step in front, where a converter's offset would already be integrated
                neurons.synapse_ = neurons.v_ = 0
                neurons.frozen_ = 0 if t else 2
            if t > 0 and cell.variance_unit > 0:
                fill_normals(noise_key, (first_recording + i) * binned.n_steps + t - 1, z)
                neurons.z_ = z
            following = binned.channels[binned.ptr[i, t] : binned.ptr[i, min(t + 1, binned.n_steps)]]
            channels.count_ = np.bincount(following, minlength=binned.sensor.n_channels)
            yield
