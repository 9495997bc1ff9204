"""Speed of the simulators against PennyLane and MerLin: see ../README.md.

One training step of a hybrid network for everybody: RX embedding, three strongly entangling layers, <Z> of
every qubit, a linear layer, cross-entropy, gradients of weights and inputs, Adam. Batch 64, one thread, CPU
time, in turns.
"""

import json
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from neurosim.baselines.quantum.circuit import Circuit, angle_embedding, strongly_entangling
from neurosim.baselines.quantum.layer import QuantumConfig, QuantumLayer
from neurosim.baselines.quantum.slos import Slos, mesh, n_cells

QUBITS, BATCH, N_LAYERS = (4, 5, 8), 64, 3
MODES, PHOTONS = 10, 5
ROUNDS, ROUND_SECONDS = 9, 0.15


class Classical(nn.Module):
    """Two linear layers with tanh, for scale."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(n, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


def pennylane(n: int, interface: str, method: str) -> nn.Module:
    """PennyLane's own layer, as its users write it."""
    import pennylane as qml

    @qml.qnode(qml.device(interface, wires=n), interface="torch", diff_method=method)
    def node(inputs, weights):  # type: ignore[no-untyped-def]
        qml.AngleEmbedding(inputs, range(n), rotation="X")
        qml.StronglyEntanglingLayers(weights, range(n))
        return [qml.expval(qml.PauliZ(wire)) for wire in range(n)]

    layer: nn.Module = qml.qnn.TorchLayer(node, {"weights": (N_LAYERS, n, 3)})
    return layer


def step(layer: nn.Module, n: int, n_out: int | None = None) -> Callable[[], None]:
    """One training step of a network with ``layer`` from n to ``n_out`` (None: n) numbers in it."""
    torch.manual_seed(0)
    head = nn.Linear(n_out or n, 10)
    optimizer = torch.optim.Adam([*layer.parameters(), *head.parameters()], 1e-3)
    x = torch.rand(BATCH, n, requires_grad=True)
    y = torch.randint(10, (BATCH,))

    def run() -> None:
        loss = functional.cross_entropy(head(layer(x).to(head.weight.dtype)), y)
        optimizer.zero_grad()
        x.grad = None
        loss.backward()
        optimizer.step()

    return run


class Interferometer(nn.Module):
    """Two trained meshes with the inputs as phases between them: all Fock probabilities."""

    def __init__(self, n_modes: int, n_photons: int) -> None:
        super().__init__()
        self.slos = Slos(n_modes, tuple(range(0, 2 * n_photons, 2)))
        self.angles = nn.Parameter(2 * math.pi * torch.rand(4, n_cells(n_modes), 2))

    def forward(self, x: Tensor) -> Tensor:
        first = mesh(self.angles[0], self.angles[1], x.shape[1])[:, list(self.slos.inputs)]
        second = mesh(self.angles[2], self.angles[3], x.shape[1])
        return self.slos(second @ (torch.complex(torch.cos(x), torch.sin(x))[:, :, None] * first))


def merlin(n_modes: int, n_photons: int) -> Callable[[], None]:
    """MerLin's layer with the same meshes."""
    import merlin as ml
    import perceval as pcvl

    circuit = pcvl.Circuit(n_modes)
    for tag in "ab":
        for layer in range(n_modes):
            for j in range(layer % 2, n_modes - 1, 2):
                for r in "01":
                    circuit.add((j, j + 1), pcvl.BS(theta=pcvl.P(f"t{tag}_{layer}_{j}_{r}")))
                    circuit.add(j, pcvl.PS(pcvl.P(f"t{tag}p_{layer}_{j}_{r}")))
        if tag == "a":
            for j in range(n_modes):
                circuit.add(j, pcvl.PS(pcvl.P(f"x{j}")))
    layer = ml.QuantumLayer(
        input_size=n_modes,
        circuit=circuit,
        input_state=[1, 0] * n_photons + [0] * (n_modes - 2 * n_photons),
        trainable_parameters=["t"],
        input_parameters=["x"],
        measurement_strategy=ml.MeasurementStrategy.probs(ml.ComputationSpace.FOCK),
    )
    return step(layer, n_modes, math.comb(n_modes + n_photons - 1, n_photons))


def photonic(n_modes: int, n_photons: int) -> Callable[[], None]:
    """Ours."""
    layer = Interferometer(n_modes, n_photons)
    return step(layer, n_modes, len(layer.slos.states))


def timed(runs: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median CPU seconds of every contender over rounds in which all take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # compiles and allocates
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start, n = time.process_time(), 0
            while (spent := time.process_time() - start) < ROUND_SECONDS or n == 0:
                run()
                n += 1
            seconds[name].append(spent / n)
    return {name: float(np.median(spent)) for name, spent in seconds.items()}


def main() -> None:
    torch.set_num_threads(1)
    result: dict[str, float | None] = {}
    print(f"CPU ms for one training step, batch {BATCH}, one thread, and over ours")
    for n in QUBITS:
        circuit = Circuit(n, angle_embedding(n, "RX") + strongly_entangling(n, N_LAYERS))
        torch.manual_seed(0)
        runs = {"ours": step(QuantumLayer(circuit, QuantumConfig()), n), "classical": step(Classical(n), n)}
        result[f"ratio_pennylane_{n}"] = None
        try:
            runs["pennylane"] = step(pennylane(n, "default.qubit", "backprop"), n)
        except ImportError as why:
            print(f"PennyLane: not installed ({why}); pip install 'neurosim-codesign[quantum]'")
        seconds = timed(runs)
        for name, spent in seconds.items():
            print(f"{n} qubits  {name:10} {spent * 1e3:9.3f} {spent / seconds['ours']:8.2f}")
            if name != "ours":
                result[f"ratio_{name}_{n}"] = spent / seconds["ours"]
    runs = {"ours": photonic(MODES, PHOTONS)}
    result["ratio_merlin"] = None
    try:
        runs["merlin"] = merlin(MODES, PHOTONS)
    except ImportError as why:
        print(
            f"MerLin: not installed ({why}); pip install --no-deps merlinquantum perceval-quandela exqalibur "
            f"..."
        )
    seconds = timed(runs)
    for name, spent in seconds.items():
        print(
            f"{MODES} modes, {PHOTONS} photons  {name:10} {spent * 1e3:9.3f} {spent / seconds['ours']:8.2f}"
        )
        if name != "ours":
            result[f"ratio_{name}"] = spent / seconds["ours"]
    print(json.dumps({key: v if v is None else round(v, 3) for key, v in sorted(result.items())}))


if __name__ == "__main__":
    main()
