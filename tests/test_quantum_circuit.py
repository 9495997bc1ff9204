"""Circuits as data, and our simulator against dense matrices and against PennyLane."""

import naive
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neurosim.baselines.quantum.circuit import (
    ENTANGLING,
    FIXED,
    ROTATIONS,
    Circuit,
    Gate,
    Slot,
    angle_embedding,
    basic_entangling,
    cnot_ring,
    strongly_entangling,
)
from neurosim.baselines.quantum.hqnn_parallel import HqnnParallel
from neurosim.baselines.quantum.hqnn_quanv import HqnnQuanv
from neurosim.baselines.quantum.hybrid_cnn import HybridCnn
from neurosim.baselines.quantum.layer import QuantumConfig, QuantumLayer
from neurosim.baselines.quantum.noise import (
    MAX_DENSITY_QUBITS,
    NoiseConfig,
    density_matrix,
    noisy_probabilities,
    readout_errors,
    sampled,
)
from neurosim.baselines.quantum.quantum_transfer import QuantumTransfer
from neurosim.baselines.quantum.statevector import Statevector
from neurosim.errors import BaselineError


def X(k):
    return Slot("input", k)


def W(k):
    return Slot("weight", k)


MIXED = (  # every kind of gate, inputs at the start and again later, an unused run at the end
    Gate("H", (1,)),
    *angle_embedding(3, "RX"),
    Gate("RZ", (0,), W(0)),
    Gate("CZ", (0, 2)),
    Gate("CRY", (2, 0), W(1)),
    Gate("RY", (1,), X(1)),
    Gate("CNOT", (2, 1)),
    Gate("S", (0,)),
    Gate("CRX", (0, 1), X(0)),
    Gate("CRZ", (1, 2), 0.7),
    Gate("RY", (2,), 0.3),
    Gate("Y", (2,)),
    Gate("RX", (2,), W(0)),
)
CIRCUITS = {
    "strong_z": Circuit(4, angle_embedding(4, "RX") + strongly_entangling(4, 3)),
    "strong_y": Circuit(5, angle_embedding(5, "RX") + strongly_entangling(5, 3), "Y"),
    "wide": Circuit(7, angle_embedding(7, "RY") + strongly_entangling(7, 2), "X"),
    "amplitude": Circuit(4, basic_entangling(4, 2), amplitude=True),
    "probabilities": Circuit(
        5, (*angle_embedding(5, "RY"), Gate("H", (0,)), *cnot_ring(5)[:4]), "probabilities"
    ),
    "mixed": Circuit(3, MIXED, "Y"),
    "again": Circuit(3, (*angle_embedding(3, "RX"), *cnot_ring(3), Gate("RY", (1,), Slot("input", 3)))),
    "no_gates": Circuit(2, (), "probabilities"),
}


def draw(circuit, batch=3, n_circuits=2, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    x = 3 * torch.rand(batch, n_circuits, circuit.n_inputs, generator=random, dtype=dtype)
    w = 6 * torch.rand(n_circuits, circuit.n_weights, generator=random, dtype=dtype)
    return x.requires_grad_(), w.requires_grad_()


@pytest.mark.parametrize("name", CIRCUITS)
def test_states_equal_dense_matrices(name):
    circuit = CIRCUITS[name]
    x, w = draw(circuit)
    ours = Statevector(circuit, dtype=torch.complex128)(x, w).detach().numpy()
    for b, c in np.ndindex(3, 2):
        dense = naive.run_circuit(circuit, x[b, c].detach().numpy(), w[c].detach().numpy())
        np.testing.assert_allclose(ours[b, c], dense, atol=1e-12)


@given(st.data())
def test_random_circuits_equal_dense_matrices(data):
    n = data.draw(st.integers(1, 4))
    gates, n_slots = [], {"input": 0, "weight": 0}
    for name in data.draw(st.lists(st.sampled_from(sorted(ROTATIONS | FIXED | ENTANGLING)), max_size=12)):
        n_wires = 2 if name in ENTANGLING else 1
        wires = tuple(data.draw(st.permutations(range(n)))[:n_wires])
        if len(wires) < n_wires:
            continue
        angle = None
        if name[-2:] in ROTATIONS:
            source = data.draw(st.sampled_from(["input", "weight", "number"]))
            angle = 0.9 if source == "number" else Slot(source, n_slots[source])
            if source != "number":
                n_slots[source] += 1
        gates.append(Gate(name, wires, angle))
    circuit = Circuit(n, tuple(gates), data.draw(st.sampled_from(["probabilities", "X", "Y", "Z"])))
    x, w = draw(circuit, 2, 1)
    ours = Statevector(circuit, dtype=torch.complex128)(x, w).detach().numpy()
    for b in range(2):
        dense = naive.run_circuit(circuit, x[b, 0].detach().numpy(), w[0].detach().numpy())
        np.testing.assert_allclose(ours[b, 0], dense, atol=1e-12)
    noise = NoiseConfig(depolarising=0.03, amplitude_damping=0.1)
    noisy = Statevector(circuit, dtype=torch.complex128)
    out = noisy.outputs(noisy_probabilities(noisy, x, w, noise)).detach().numpy()
    dense = naive.run_circuit(circuit, x[1, 0].detach().numpy(), w[0].detach().numpy(), 0.03, 0.1)
    np.testing.assert_allclose(out[1, 0], dense, atol=1e-12)


@pytest.mark.parametrize("noise", [NoiseConfig(), NoiseConfig(depolarising=0.02, amplitude_damping=0.05)])
@pytest.mark.parametrize("name", ["strong_z", "strong_y", "amplitude", "probabilities", "mixed"])
def test_outputs_and_gradients_equal_pennylane(name, noise):
    pytest.importorskip("pennylane", reason="the extra 'quantum' is not installed")
    from neurosim.baselines.quantum.pennylane import PennyLane

    circuit = CIRCUITS[name]
    answers = []
    for double in (False, True):
        x, w = draw(circuit, dtype=torch.float32)
        if double:
            out = PennyLane(circuit, noise)(x, w)
        else:
            ours = Statevector(circuit)
            out = ours.outputs(noisy_probabilities(ours, x, w, noise))
        target = torch.linspace(-1, 1, out.numel()).view_as(out) / out.numel() ** 0.5
        (out * target).sum().backward()
        answers.append((out.detach(), x.grad, w.grad if circuit.n_weights else torch.zeros(0)))
    for mine, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)


SHIPPED = {
    "hqnn_parallel": HqnnParallel.circuit(),
    "hqnn_quanv": HqnnQuanv.circuit(),
    "hybrid_cnn": HybridCnn.circuit(),
    "quantum_transfer_1": QuantumTransfer.circuit(1),
    "quantum_transfer_2": QuantumTransfer.circuit(2),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_circuits_equal_pennylane_in_outputs_and_gradients(name):
    pytest.importorskip("pennylane", reason="the extra 'quantum' is not installed")
    from neurosim.baselines.quantum.pennylane import PennyLane

    circuit = SHIPPED[name]
    answers = []
    for simulator in (Statevector(circuit), PennyLane(circuit)):
        x, w = draw(circuit, dtype=torch.float32)
        out = simulator(x, w)
        (out * torch.linspace(-1, 1, out.shape[-1]) / out.shape[-1] ** 0.5).sum().backward()
        answers.append((out.detach(), x.grad, w.grad if circuit.n_weights else torch.zeros(0)))
    for mine, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["strong_y", "wide", "mixed"])
def test_gradients_equal_differences(name):
    circuit = CIRCUITS[name]
    simulator = Statevector(circuit, dtype=torch.complex128)
    assert torch.autograd.gradcheck(simulator, draw(circuit, 2, 1))


@pytest.mark.parametrize("name", CIRCUITS)
def test_probabilities_sum_to_one(name):
    circuit = CIRCUITS[name]
    x, w = draw(circuit, dtype=torch.float32)
    simulator = Statevector(circuit)
    noise = NoiseConfig(depolarising=0.01, amplitude_damping=0.01, readout_error=0.02)
    totals = [simulator.probabilities(x, w).sum(1)]
    if circuit.n_qubits <= MAX_DENSITY_QUBITS:
        totals.append(noisy_probabilities(simulator, x, w, noise).sum(1))
    for total in totals:
        torch.testing.assert_close(total, torch.ones_like(total), atol=2e-6, rtol=0)


def test_density_matrices_are_hermitian_and_depolarise_to_a_half():
    circuit = CIRCUITS["strong_z"]
    x, w = draw(circuit)
    simulator = Statevector(circuit, dtype=torch.complex128)
    rho = density_matrix(simulator, x, w, NoiseConfig(depolarising=0.75)).unflatten(1, (16, 16))
    torch.testing.assert_close(rho, rho.transpose(1, 2).conj())
    torch.testing.assert_close(rho[0, :, :, 0], torch.eye(16, dtype=rho.dtype) / 16)


def test_readout_errors_flip_bits():
    p = torch.zeros(1, 4, 1, dtype=torch.float64)
    p[0, 2] = 1  # state 10
    flipped = readout_errors(p, 0.1)[0, :, 0]
    torch.testing.assert_close(flipped, torch.tensor([0.09, 0.01, 0.81, 0.09], dtype=torch.float64))


def test_noise_beyond_six_qubits_is_refused():
    circuit = CIRCUITS["wide"]
    with pytest.raises(BaselineError, match="7 qubits, but density matrices are kept for at most 6"):
        noisy_probabilities(Statevector(circuit), *draw(circuit), NoiseConfig(depolarising=0.01))


def test_shots_scatter_as_a_multinomial_and_keep_the_gradient():
    torch.manual_seed(0)
    p = torch.tensor([[0.5, 0.3, 0.2]]).expand(4000, 3).clone().requires_grad_()
    drawn = sampled(p, 64)
    assert torch.equal((drawn * 64).round() / 64, drawn.detach().mul(64).round().div(64))
    torch.testing.assert_close(drawn.mean(0), p[0], atol=4 * (0.25 / 64 / 4000) ** 0.5, rtol=0)
    spread = drawn.detach().var(0) * 64 / (p[0] * (1 - p[0])).detach()
    assert ((spread - 1).abs() < 5 * (2 / 4000) ** 0.5).all()
    (drawn * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert torch.equal(p.grad[0], torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("variant", ["full", "no_entanglement", "frozen"])
def test_every_weight_of_a_layer_gets_a_gradient_unless_frozen(variant):
    torch.manual_seed(0)
    circuit = CIRCUITS["strong_y"]
    layer = QuantumLayer(circuit, QuantumConfig(variant=variant), n_circuits=2)
    out = layer(torch.rand(16, 10))
    assert out.shape == (16, 10)
    assert layer.unitarity_error() < 1e-5
    if variant == "frozen":
        assert not out.requires_grad
        return
    (out * torch.randn(16, 10)).sum().backward()
    assert layer.weights.grad.abs().min() > 1e-7


def test_both_simulators_give_a_layer_the_same_outputs():
    pytest.importorskip("pennylane", reason="the extra 'quantum' is not installed")
    layers = []
    for simulator in ("neurosim", "pennylane"):
        torch.manual_seed(3)
        noise = NoiseConfig(depolarising=0.01, readout_error=0.03)
        config = QuantumConfig(simulator=simulator, noise=noise)
        layers.append(QuantumLayer(CIRCUITS["strong_z"], config, n_circuits=2))
    x = torch.rand(5, 8)
    torch.testing.assert_close(layers[0](x), layers[1](x), atol=1e-6, rtol=0)


def test_a_users_qnode_is_a_layer():
    qml = pytest.importorskip("pennylane", reason="the extra 'quantum' is not installed")
    from neurosim.baselines.quantum.pennylane import QNodeLayer

    circuit = CIRCUITS["strong_z"]

    @qml.qnode(qml.device("default.qubit", wires=4), interface="torch")
    def node(inputs, weights):
        qml.AngleEmbedding(inputs, range(4), rotation="X")
        qml.StronglyEntanglingLayers(weights, range(4))
        return [qml.expval(qml.PauliZ(q)) for q in range(4)]

    layer = QNodeLayer(node, {"weights": (3, 4, 3)}, 4)
    x = torch.rand(6, 4)
    weights = next(layer.parameters())
    ours = Statevector(circuit)(x[:, None], weights.reshape(1, -1))[:, 0]
    torch.testing.assert_close(layer(x), ours, atol=1e-6, rtol=0)
    with pytest.raises(BaselineError, match="expected \\(6, 5\\)"):
        QNodeLayer(node, {"weights": (3, 4, 3)}, 5)(x)


def test_counts_depth_and_stripping():
    circuit = CIRCUITS["mixed"]
    assert circuit.counts()["CRX"] == 1
    assert circuit.n_entangling == 5
    assert (circuit.n_inputs, circuit.n_weights, circuit.n_outputs) == (3, 2, 3)
    stripped = circuit.without_entanglement()
    assert stripped.n_entangling == 0
    assert stripped.n_weights == 1  # that of CRY is gone
    assert Circuit(2, (Gate("H", (0,)), Gate("CNOT", (0, 1)), Gate("H", (0,)), Gate("H", (1,)))).depth == 3


def test_drawing():
    circuit = Circuit(3, (Gate("RX", (0,), X(0)), Gate("CNOT", (0, 2)), Gate("CRY", (2, 1), W(0))), "Y")
    assert circuit.draw().splitlines() == [
        " 0: |0⟩ ─RX(x0)─●──────── ⟨Y⟩",
        "                │",
        " 1: |0⟩ ────────┼─RY(w0)─ ⟨Y⟩",
        "                │   │",
        " 2: |0⟩ ────────⊕───●──── ⟨Y⟩",
    ]


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ([Gate("RXX", (0,), 1.0)], "unknown gate; did you mean 'CRX|did you mean 'RX"),
        ([Gate("CNOT", (0, 0))], "name 2 different qubits of 0..1"),
        ([Gate("H", (2,))], "name 1 different qubits"),
        ([Gate("RX", (0,))], "rotations need an angle"),
        ([Gate("RX", (0,), W(1))], "weight 0 is in no gate"),
    ],
)
def test_wrong_circuits_are_refused(gates, message):
    with pytest.raises(BaselineError, match=message):
        Circuit(2, tuple(gates))
