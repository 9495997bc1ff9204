"""Speed of the reservoir's kernel against Brian2, snnTorch, Norse and SpikingJelly: see ../README.md.

One liquid for everybody: 1,000 neurons, 2,312 inputs, 10 % connectivity, 100 steps of 3 ms, 64
recordings, reset to zero, threshold set for 5 % firing. One thread each, CPU time, all in turns.
"""

import atexit
import importlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from neurosim.array import ArrayConfig, build_crossbar, differential, white_variance
from neurosim.device import DeviceConfig
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.datasets import load
from neurosim.events.types import Binned
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.liquid import Liquid, build_liquid
from neurosim.reservoir.states import simulate
from neurosim.reservoir.wiring import wire

N, N_NEURONS, BETA, RATE, SEED = 64, 1000, 0.875, 0.05, 1
ROUNDS, ROUND_SECONDS = 5, 0.3
PEERS = ("brian2", "snntorch", "norse", "spikingjelly")

# runs all recordings once and returns the CPU seconds it took
Run = Callable[[], float]


@dataclass
class Contender:
    """One line of the table.

    Attributes:
        label: What it is.
        run: See ``Run``.
        peer: Package whose ratio it counts for; empty: ours.
        counts: Spikes per recording and neuron.
        seconds: Seconds for all recordings, one mean per round.
    """

    label: str
    run: Run
    counts: npt.NDArray[Any]
    peer: str = ""
    seconds: list[float] = field(default_factory=list)

    def take_turn(self) -> None:
        """Run for ``ROUND_SECONDS``, at least once, and keep the mean."""
        spent = [self.run()]
        while sum(spent) < ROUND_SECONDS:
            spent.append(self.run())
        self.seconds.append(sum(spent) / len(spent))

    @property
    def best(self) -> float:
        return min(self.seconds)


def timed(clock: Callable[[], float], work: Callable[[], Any]) -> float:
    start = clock()
    work()
    return clock() - start


# ---- the workload ------------------------------------------------------------------------------------


def recordings() -> Binned:
    events = load("mnist-saccades", "test", n=N)
    return bin_events(events, BinningConfig(n_steps=100, duration=0.3))


def liquids(binned: Binned) -> dict[tuple[str, bool], Liquid]:
    """The same chip in every weight type, without and with read noise, at one threshold."""
    config = ReservoirConfig(
        topology="sparse", n_neurons=N_NEURONS, p_connect=0.1, beta=BETA, weights="int8", homeostasis=None
    )
    wiring = wire(config, binned.sensor, seed=SEED)
    crossbar = build_crossbar(ArrayConfig(adc_bits=0), DeviceConfig(), wiring.shape, seed=SEED, chip=0)
    dg, variance = differential(crossbar), white_variance(crossbar)

    def build(weights: str, noise: bool, v_threshold: float) -> Liquid:
        changed = config.model_copy(
            update={"weights": weights, "read_noise": noise, "v_threshold": v_threshold}
        )
        return build_liquid(changed, wiring, dg, dt=binned.dt, seed=SEED, white_variance=variance)

    low, high = 0.01, 1000.0
    for _ in range(25):
        middle = float(np.sqrt(low * high))
        rate = simulate(build("int8", False, middle), binned).n_spikes.mean() / N_NEURONS / binned.n_steps
        low, high = (middle, high) if rate > RATE else (low, middle)
    kinds = [(w, noise) for w in ("int8", "int16", "float32") for noise in (False, True)]
    return {kind: build(*kind, high) for kind in kinds}


def ours(liquid: Liquid, binned: Binned, label: str) -> Contender:
    run = partial(timed, time.process_time, lambda: simulate(liquid, binned, noise_key=7))
    return Contender(label, run, simulate(liquid, binned, noise_key=7).x)


# ---- the peers: on the same integer weights, in float32 -----------------------------------------------


def brian2(liquid: Liquid, binned: Binned) -> list[Contender]:
    """C++ standalone, event-driven, the recordings one after another in time; the clock runs inside the
    compiled program, around the time loop only. Each recording has a step of rest, in which it starts anew.
    """
    if not shutil.which("g++"):
        raise ImportError("needs g++")
    b2 = importlib.import_module("brian2")
    length, folder = binned.n_steps + 1, Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    b2.prefs.core.default_float_dtype = np.float32
    flags = ["-w", "-O3", "-march=native", "-std=c++17", "-ffp-contract=off"]  # Brian2's, but for -ffast-math
    b2.prefs.codegen.cpp.extra_compile_args_gcc = flags
    b2.set_device("cpp_standalone", build_on_run=False)
    b2.defaultclock.dt = 1 * b2.second
    per_step = np.diff(binned.ptr, axis=1)
    start = np.arange(N)[:, None] * length + np.arange(binned.n_steps)
    source = b2.SpikeGeneratorGroup(
        binned.sensor.n_channels,
        binned.channels[binned.ptr[0, 0] : binned.ptr[-1, -1]],
        np.repeat(start.ravel(), per_step.ravel()) * b2.second,
    )
    neurons = b2.NeuronGroup(N_NEURONS, "v : 1\ncurrent : 1", threshold="v > v_threshold", reset="v = 0")
    neurons.run_regularly("v = beta * v + current\ncurrent = 0", when="groups", order=0)
    neurons.run_regularly("v = 0\ncurrent = 0", dt=length * b2.second, when="groups", order=1)
    network = b2.Network(source, neurons)
    for group, matrix, side in zip(
        (source, neurons),
        liquid.weights.matrices,
        (liquid.wiring.inputs, liquid.wiring.recurrent),
        strict=True,
    ):
        synapses = b2.Synapses(group, neurons, "w : 1", on_pre="current_post += w")
        synapses.connect(i=side.pre, j=side.post)
        synapses.w = matrix[side.pre, side.post]
        network.add(synapses)
    monitor = b2.SpikeMonitor(neurons)
    network.add(monitor)
    network.schedule = ["start", "synapses", "groups", "thresholds", "resets", "end"]
    b2.device.insert_code("before_network_run", "const std::clock_t started = std::clock();")
    b2.device.insert_code(
        "after_network_run",
        f'std::ofstream("{folder}/seconds") << double(std::clock() - started) / CLOCKS_PER_SEC;',
    )
    constants = {"beta": np.float32(BETA), "v_threshold": liquid.threshold[0]}
    network.run(N * length * b2.second, namespace=constants)
    b2.device.build(directory=str(folder / "code"), run=False)

    def run() -> float:
        b2.device.run(str(folder / "code"), with_output=False)
        return float((folder / "seconds").read_text())

    run()
    recording = np.asarray(monitor.t / b2.second).astype(int) // length
    counts = np.zeros((N, N_NEURONS), np.int64)
    np.add.at(counts, (recording, np.asarray(monitor.i)), 1)
    return [Contender("Brian2, C++ standalone", run, counts, "brian2")]


@dataclass
class Torch:
    """What the three PyTorch packages are given: dense frames and weights, made outside the timing.

    Each runs twice: first its recurrent layer as its users write it, then its plain neuron with two
    nn.Linear, the input's as one product over all steps. ``ratio_*`` is that of the layer, ``ratio_*_tuned``
    that of the faster of the two.
    """

    x: Any
    w_in: Any
    w_rec: Any
    v_threshold: float

    @classmethod
    def of(cls, liquid: Liquid, binned: Binned) -> "Torch":
        import torch

        torch.set_num_threads(1)
        x = torch.tensor(np.stack([binned.dense(i) for i in range(N)], axis=1)).float()
        w_in, w_rec = (torch.tensor(m.T).float().contiguous() for m in liquid.weights.matrices)
        return cls(x, w_in, w_rec, float(liquid.threshold[0]))

    def linear(self, weight: Any) -> Any:
        import torch

        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = torch.nn.Parameter(weight.clone())
        return layer

    def contender(self, label: str, peer: str, run: Callable[[], Any]) -> Contender:
        """``run`` returns the spikes of all recordings, (n, n_neurons), summed over the steps."""
        import torch

        run = torch.no_grad()(run)
        counts = run().numpy().astype(np.int64)
        return Contender(label, partial(timed, time.process_time, run), counts, peer)


def snntorch(t: Torch) -> list[Contender]:
    import snntorch as snn
    import torch

    w_in, w_rec = t.linear(t.w_in), t.linear(t.w_rec)
    options = {"threshold": t.v_threshold, "reset_mechanism": "zero", "reset_delay": False}
    recurrent = snn.RLeaky(beta=BETA, linear_features=N_NEURONS, **options)
    recurrent.recurrent = w_rec
    leaky = snn.Leaky(beta=BETA, **options)

    def layer() -> Any:
        spk, mem = recurrent.reset_mem()
        counts = torch.zeros(N, N_NEURONS)
        for x in t.x:
            spk, mem = recurrent(w_in(x), spk, mem)
            counts += spk
        return counts

    def neuron() -> Any:
        mem, spk, counts = leaky.reset_mem(), torch.zeros(N, N_NEURONS), torch.zeros(N, N_NEURONS)
        for current in w_in(t.x):
            spk, mem = leaky(current + w_rec(spk), mem)
            counts += spk
        return counts

    return [
        t.contender("snnTorch, RLeaky", "snntorch", layer),
        t.contender("snnTorch, Leaky + Linear", "snntorch", neuron),
    ]


def norse(t: Torch) -> list[Contender]:
    import norse.torch as norse
    import torch

    # dt = 1 and tau_mem_inv = 1 - beta: the current is divided by that, so that it reaches v as it is
    gain = 1 / (1 - BETA)
    w_in, w_rec = t.linear(t.w_in * gain), t.linear(t.w_rec * gain)
    constants = {
        "tau_mem_inv": torch.tensor(1 - BETA),
        "v_th": torch.tensor(t.v_threshold),
        "v_leak": torch.tensor(0.0),
        "v_reset": torch.tensor(0.0),
    }
    recurrent = norse.LIFRecurrent(
        t.w_in.shape[1],
        N_NEURONS,
        norse.LIFParameters(tau_syn_inv=torch.tensor(1.0), **constants),  # a current lasts one step
        input_weights=w_in.weight,
        recurrent_weights=w_rec.weight,
        autapses=True,
        dt=1.0,
    )
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(**constants), dt=1.0)

    def neuron() -> Any:
        state, spk, counts = None, torch.zeros(N, N_NEURONS), torch.zeros(N, N_NEURONS)
        for current in w_in(t.x):
            spk, state = cell(current + w_rec(spk), state)
            counts += spk
        return counts

    return [
        t.contender("Norse, LIFRecurrent", "norse", lambda: recurrent(t.x)[0].sum(0)),
        t.contender("Norse, LIFBoxCell + Linear", "norse", neuron),
    ]


def spikingjelly(t: Torch) -> list[Contender]:
    import torch
    from spikingjelly.activation_based import functional, layer, neuron

    w_in, w_rec = t.linear(t.w_in), t.linear(t.w_rec)
    options = {"tau": 1 / (1 - BETA), "decay_input": False, "v_threshold": t.v_threshold, "v_reset": 0.0}
    container = layer.LinearRecurrentContainer(
        neuron.LIFNode(**options), N_NEURONS, N_NEURONS, bias=False, step_mode="m"
    )
    container.rc.weight = torch.nn.Parameter(torch.hstack([torch.eye(N_NEURONS), t.w_rec]))
    lif = neuron.LIFNode(**options)
    for module in (container, lif):
        module.eval()

    def recurrent() -> Any:
        functional.reset_net(container)
        return container(w_in(t.x)).sum(0)

    def plain() -> Any:
        functional.reset_net(lif)
        spk, counts = torch.zeros(N, N_NEURONS), torch.zeros(N, N_NEURONS)
        for current in w_in(t.x):
            spk = lif(current + w_rec(spk))
            counts += spk
        return counts

    return [
        t.contender("SpikingJelly, LinearRecurrentContainer", "spikingjelly", recurrent),
        t.contender("SpikingJelly, LIFNode + Linear", "spikingjelly", plain),
    ]


def peers(liquid: Liquid, binned: Binned) -> tuple[list[Contender], list[str]]:
    """Those that are installed, and why the others are not there."""
    found: list[Contender] = []
    missing = []
    torch = Torch.of(liquid, binned)
    builders: dict[str, Callable[[], list[Contender]]] = {
        "brian2": partial(brian2, liquid, binned),
        "snntorch": partial(snntorch, torch),
        "norse": partial(norse, torch),
        "spikingjelly": partial(spikingjelly, torch),
    }
    for name, build in builders.items():
        try:
            found += build()
        except ImportError as error:
            missing.append(f"{name}: not installed ({error}); make peers")
    return found, missing


# ---- table and ratios --------------------------------------------------------------------------------


def threads_ratio(liquid: Liquid, binned: Binned) -> float | None:
    """Wall time on one thread over wall time on two, in turns, best of each."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        return None
    spent: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(60):
        for n, seconds in spent.items():
            numba.set_num_threads(n)
            seconds.append(timed(time.perf_counter, lambda: simulate(liquid, binned)))
    numba.set_num_threads(1)
    return min(spent[1]) / min(spent[2])


def main() -> None:
    numba.set_num_threads(1)
    binned = recordings()
    kinds = liquids(binned)
    own = {
        kind: ours(liquid, binned, f"neurosim, {kind[0]}{', read noise' if kind[1] else ''}")
        for kind, liquid in kinds.items()
    }
    others, missing = peers(kinds["int8", False], binned)
    everybody = [*own.values(), *others]
    for _ in range(ROUNDS):
        for contender in everybody:
            contender.take_turn()

    int8, int16 = own["int8", False], own["int16", False]
    active, rate = len(binned.channels) / N, int8.counts.mean() / binned.n_steps
    print(f"{N} recordings, {active:.0f} active channels each, {rate:.1%} of the neurons fire in a step")
    columns = ("best", "median", "/ int8", "/ int16")
    print(f"{'CPU ms a recording, one thread':40}", *(f"{c:>8}" for c in columns), " spikes off, recordings")
    result: dict[str, float | None] = {}
    for c in everybody:
        ms = np.array([min(c.seconds), np.median(c.seconds)]) / N * 1e3
        ratios = c.best / int8.best, c.best / int16.best
        line = f"{c.label:40} {ms[0]:8.3f} {ms[1]:8.3f} {ratios[0]:8.1f} {ratios[1]:8.1f}"
        if c.peer:
            off = np.abs(c.counts - int8.counts.astype(np.int64)).sum(axis=1)
            line += f" {off.sum():10.0f} {np.count_nonzero(off):10d}"
            key = f"spikes_off_{c.peer}"
            result[key] = max(result.get(key) or 0, float(off.sum()))
        print(line)
    for line in missing:
        print(line)

    for peer in PEERS:
        times = [c.best for c in others if c.peer == peer]
        for suffix, mine in (("", int8), ("_int16", int16)):
            result[f"ratio_{peer}{suffix}"] = times[0] / mine.best if times else None
            if peer != "brian2":
                result[f"ratio_{peer}_tuned{suffix}"] = min(times) / mine.best if times else None
        result.setdefault(f"spikes_off_{peer}", None)
    for weights in ("int8", "int16"):
        result[f"ratio_noise_{weights}"] = own[weights, True].best / own[weights, False].best
        result[f"ratio_threads_{weights}"] = threads_ratio(kinds[weights, False], binned)
    print(json.dumps({k: v if v is None else round(v, 2) for k, v in sorted(result.items())}))


if __name__ == "__main__":
    main()
