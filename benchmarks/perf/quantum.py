"""Speed of the statevector simulator against PennyLane: see ../README.md.

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


def step(layer: nn.Module, n: int) -> Callable[[], None]:
    """One training step of a network with ``layer`` in it."""
    torch.manual_seed(0)
    head = nn.Linear(n, 10)
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


def photonic(n_modes: int, n_photons: int) -> Callable[[], None]:
    """One step of two trained meshes with phases between them, all Fock probabilities, Adam."""
    torch.manual_seed(0)
    slos = Slos(n_modes, tuple(range(0, 2 * n_photons, 2)))
    angles = nn.Parameter(2 * math.pi * torch.rand(4, n_cells(n_modes), 2))
    head = nn.Linear(len(slos.states), 10)
    optimizer = torch.optim.Adam([angles, *head.parameters()], 1e-3)
    x = torch.rand(BATCH, n_modes, requires_grad=True)
    y = torch.randint(10, (BATCH,))

    def run() -> None:
        first = mesh(angles[0], angles[1], n_modes)[:, list(slos.inputs)]
        second = mesh(angles[2], angles[3], n_modes)
        columns = second @ (torch.complex(torch.cos(x), torch.sin(x))[:, :, None] * first)
        loss = functional.cross_entropy(head(slos(columns)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


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
    ours = timed({"photonic": photonic(10, 5)})["photonic"]
    print(f"10 modes, 5 photons, 2,002 states  ours {ours * 1e3:9.3f}")
    print(json.dumps({key: v if v is None else round(v, 3) for key, v in sorted(result.items())}))


if __name__ == "__main__":
    main()
