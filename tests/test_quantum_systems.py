"""The quantum systems with mathematics of their own: recurrent, photonic, creeping."""

from itertools import combinations

import naive
import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.stats import unitary_group

from neurosim.baselines import make_baseline
from neurosim.baselines.base import n_trained
from neurosim.baselines.quantum.photonic import PhotonicQnn, StarterAnnotation
from neurosim.baselines.quantum.qrnn import Cell, CellConfig, QrnnClassifier, QrnnConfig, _hit
from neurosim.baselines.quantum.quantum_creep import (
    PAULIS,
    FlippedQuanv,
    Generator,
    QuantumCreepConfig,
    Reupload,
    evolve,
    one_qubit_words,
    pauli_sum,
)
from neurosim.baselines.quantum.slos import Slos, fock_states, mesh, n_cells
from neurosim.errors import BaselineError
from neurosim.events.idx import read_images, read_labels

VARIANTS = ["full", "no_entanglement", "frozen", "linear", "deleted", "classical"]


def bars(n=60, *, side=12, n_classes=3):
    random = np.random.default_rng(0)
    y = random.integers(n_classes, size=n)
    x = random.integers(0, 60, (n, side, side))
    for image, label in zip(x, y, strict=True):
        image[side * label // n_classes :][: side // n_classes] += 180
    return x.astype(np.uint8), y


# --- recurrent ---


def random_cell(**keys):
    torch.manual_seed(0)
    cell = Cell(CellConfig(**({"n_bits": 2, "workspace": 3, "stages": 2, "degree": 2} | keys)))
    with torch.no_grad():
        for weights in cell.parameters():
            weights.add_(torch.randn_like(weights))
    return cell


@pytest.mark.parametrize("order", [0, 1, 2])
def test_steps_of_the_cell_equal_full_state_vectors(order):
    cell = random_cell(order=order)
    symbols, targets = torch.randint(4, (2, 4)), torch.randint(4, (2, 4))
    p, kept, last = cell(symbols, targets)
    for b in range(2):
        state, log = np.eye(8)[0], 0.0
        for t in range(4):
            full = naive.qrnn_step(state, int(symbols[b, t]), cell)
            expected = (full**2).sum(1)
            np.testing.assert_allclose(p[b, t].detach(), expected, atol=1e-5)
            state = full[targets[b, t]] / np.linalg.norm(full[targets[b, t]])
            log += np.log(expected[targets[b, t]])
        np.testing.assert_allclose(last[b].detach(), state, atol=1e-5)
        assert kept[b].item() == pytest.approx(log, abs=1e-4)


def test_a_step_without_the_compiled_matrix_is_the_same(monkeypatch):
    cell = random_cell()
    symbols = torch.randint(4, (3, 5))
    together = cell(symbols, symbols)
    monkeypatch.setattr("neurosim.baselines.quantum.qrnn.COMPILED", 0)
    for a, b in zip(together, cell(symbols, symbols), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_neuron_is_its_post_selected_circuit_in_pennylane():
    """Order 1: RY(e) on an ancilla, controlled RY(pi) on the lane, RY(-e), ancilla found in 0."""
    qml = pytest.importorskip("pennylane", reason="the extra 'quantum' is not installed")
    theta, phi = 0.4, [0.7, -1.1, 0.5]  # of lanes 1, 2 and both

    def turn(sign):
        qml.RY(sign * (np.pi / 2 + theta), wires=0)
        for weight, controls in zip(phi, ([2], [3], [2, 3]), strict=True):
            qml.ctrl(qml.RY(sign * weight, wires=0), control=controls)

    start = np.random.default_rng(0).normal(size=8)
    start /= np.linalg.norm(start)

    @qml.qnode(qml.device("default.qubit", wires=4))
    def circuit():
        qml.StatePrep(start, wires=[1, 2, 3])
        turn(1)
        qml.CRY(np.pi, wires=[0, 1])
        turn(-1)
        return qml.state()

    kept = circuit()[:8]  # ancilla 0 is the first bit
    ours = naive.neuron(start, 3, 0, [1, 2], theta, phi, 2, 1)
    np.testing.assert_allclose(kept, ours, atol=1e-12)


@pytest.mark.parametrize(("keys", "n"), [({}, 1_212), ({"n_bits": 3, "workspace": 7, "degree": 3}, 3_134)])
def test_cells_have_as_many_parameters_as_published(keys, n):
    assert sum(p.numel() for p in Cell(CellConfig(**keys)).parameters()) == n


def test_every_parameter_of_the_cell_gets_a_gradient():
    cell = random_cell()
    p, _, _ = cell(torch.randint(4, (16, 6)), torch.randint(4, (16, 6)))
    (p * torch.randn_like(p)).sum().backward()
    assert all((w.grad != 0).all() for w in (cell.theta, cell.phi, cell.theta_out, cell.turns))
    # the first output neuron runs while the second output lane is still 0: products with it are never 1
    deaf = torch.tensor(
        [0 in subset for subset in [(i,) for i in range(4)] + list(combinations(range(4), 2))]
    )
    assert torch.equal(cell.phi_out.grad[0] == 0, deaf)
    assert (cell.phi_out.grad[1] != 0).all()
    assert cell.unitarity_error() < 1e-5


def fit_next_symbol(cell, draw, *, steps, rate):
    """Train the next symbol; returns the share of right most likely answers of symbols that can be known."""
    optimizer = torch.optim.Adam(cell.parameters(), rate)
    for _ in range(steps):
        x, target, known = draw()
        p, _, _ = cell(x, target)
        right = p.gather(2, target[..., None])[..., 0]
        loss = -(right.clamp_min(1e-9).log() * known).sum() / known.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(cell.parameters(), 0.5)
        optimizer.step()
    x, target, known = draw()
    p, _, _ = cell(x, target)
    return float(((p.argmax(2) == target) * known).sum() / known.sum())


def test_memorises_two_sequences():
    """Bausch's task: 0 1 2 3 0 1 2 3 ... and 4 4 4 4 ..., the next symbol predicted from the first on."""
    torch.manual_seed(0)
    cell = Cell(CellConfig(n_bits=3, workspace=4, stages=1, degree=2))
    x = torch.stack([torch.arange(13) % 4, torch.full((13,), 4)])
    known = torch.ones(2, 12)
    assert fit_next_symbol(cell, lambda: (x[:, :-1], x[:, 1:], known), steps=150, rate=0.05) == 1.0


def test_learns_elmans_exclusive_or():
    """Elman's stream of a, b, a xor b, ... with a mark on a and b; every third bit can be known."""
    torch.manual_seed(1)
    random = torch.Generator().manual_seed(0)
    cell = Cell(CellConfig(n_bits=1, workspace=4, stages=1, degree=2))

    def draw():
        a, b = torch.randint(2, (2, 64, 3), generator=random)
        x = torch.stack([a, b, a ^ b], 2).flatten(1)
        known = torch.zeros(64, 8)
        known[:, 1::3] = 1
        return x[:, :-1], x[:, 1:], known

    assert fit_next_symbol(cell, draw, steps=250, rate=0.05) > 0.95


def test_labels_of_several_symbols_are_joint_probabilities():
    torch.manual_seed(0)
    net = QrnnClassifier(QrnnConfig(n_bits=1, workspace=3, side=3, stages=1, spread=1.0), 4)
    p = net(torch.rand(5, 1, 9, 9))
    torch.testing.assert_close(p.sum(1), torch.ones(5), atol=1e-5, rtol=0)  # two bits, four classes
    assert (net.kept(torch.rand(5, 1, 9, 9)) < 0).all()


def test_paulis_hit_lanes_as_often_as_asked():
    torch.manual_seed(0)
    state = torch.zeros(20_000, 4)
    state[:, 0] = 1
    hit = _hit(state, 0.3).square().mean(0)
    stay = 1 - 2 * 0.3 / 3  # X and Y of the three flip a bit
    expected = torch.tensor([stay**2, stay * (1 - stay), stay * (1 - stay), (1 - stay) ** 2])
    torch.testing.assert_close(hit, expected, atol=0.015, rtol=0)
    plus = torch.full((20_000, 2), 0.5**0.5)
    turned = _hit(plus, 0.3)
    flipped = (turned[:, 0] * turned[:, 1]).mean()
    assert flipped.item() == pytest.approx(0.5 * (1 - 2 * 0.2), abs=0.02)  # Y and Z turn the sign


@pytest.mark.parametrize("variant", ["full", "classical", "deleted"])
def test_principal_components_are_read_instead_of_pixels(variant):
    x, y = bars(300, n_classes=2)
    keys = {"components": 3, "n_bits": 1, "workspace": 3, "stages": 1, "quantum": {"variant": variant}}
    keys["training"] = {"epochs": 10, "learning_rate": 0.05}
    model = make_baseline("qrnn", keys).fit(x, y)
    assert model.validation_accuracy_ > 0.9
    if variant == "full":
        assert model.operations().gates["RY"] == 3 * 3
        symbols = model.network_.reader(model.features_(torch.tensor(x, dtype=torch.float32) / 255))
        assert symbols.shape == (300, 3)
        assert (symbols.min(), symbols.max()) == (0, 1)


def test_separates_two_digits_by_eight_components_of_three_bits(real_data):
    x = read_images(real_data / "mnist" / "train-images-idx3-ubyte.gz")[:6000]
    y = read_labels(real_data / "mnist" / "train-labels-idx1-ubyte.gz")[:6000]
    x, y = x[y < 2], y[y < 2]
    keys = {"components": 8, "n_bits": 3, "workspace": 4, "training": {"epochs": 5}}
    model = make_baseline("qrnn", keys).fit(x[:800], y[:800], (x[800:], y[800:]))
    assert model.validation_accuracy_ > 0.95


# --- photons ---


@pytest.mark.parametrize(("n_modes", "inputs"), [(3, (0, 1)), (5, (0, 2, 3)), (4, (3, 0, 1, 2)), (2, (1,))])
def test_slos_equals_permanents(n_modes, inputs):
    u = unitary_group.rvs(n_modes, random_state=1)
    slos = Slos(n_modes, inputs)
    tensor = torch.tensor(u, dtype=torch.complex64)[None]
    expected = [naive.fock_amplitude(u, inputs, state) for state in slos.states]
    np.testing.assert_allclose(slos.amplitudes(tensor)[0], expected, atol=1e-6)
    columns = tensor[:, :, list(inputs)]
    p = slos(columns)[0]
    np.testing.assert_allclose(p, np.abs(expected) ** 2, atol=1e-6)
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    classical = slos(columns, distinguishable=True)[0]
    assert classical.sum().item() == pytest.approx(1, abs=1e-5)


def test_hong_ou_mandel():
    half = np.pi / 2
    u = mesh(torch.tensor([[half, 0.0]]), torch.zeros(1, 2), 2)[None]
    slos = Slos(2, (0, 1))
    assert slos.states.tolist() == [[2, 0], [1, 1], [0, 2]]
    torch.testing.assert_close(slos(u)[0], torch.tensor([0.5, 0.0, 0.5]))
    torch.testing.assert_close(slos(u, distinguishable=True)[0], torch.tensor([0.25, 0.5, 0.25]))


@pytest.mark.parametrize("n_modes", [2, 5, 6])
def test_meshes_are_unitary_and_connect_everything(n_modes):
    torch.manual_seed(0)
    theta, phi = 6 * torch.rand(2, n_cells(n_modes), 2)
    u = mesh(theta, phi, n_modes)
    torch.testing.assert_close(u.mH @ u, torch.eye(n_modes) + 0j, atol=1e-5, rtol=0)
    assert (u.abs() > 0).all()


def test_meshes_and_probabilities_are_percevals():
    pcvl = pytest.importorskip("perceval", reason="the extra 'photonic' is not installed")
    torch.manual_seed(0)
    theta, phi = 6 * torch.rand(2, n_cells(5), 2)
    circuit, cell = pcvl.Circuit(5), 0
    for layer in range(5):
        for mode in range(layer % 2, 4, 2):
            for r in range(2):
                circuit.add((mode, mode + 1), pcvl.BS(theta=float(theta[cell, r])))
                circuit.add(mode, pcvl.PS(float(phi[cell, r])))
            cell += 1
    u = mesh(theta, phi, 5)
    np.testing.assert_allclose(u, np.array(circuit.compute_unitary()), atol=1e-6)
    backend = pcvl.SLOSBackend()
    backend.set_circuit(circuit)
    backend.set_input_state(pcvl.BasicState([1, 0, 1, 1, 0]))
    theirs = backend.prob_distribution()
    slos = Slos(5, (0, 2, 3))
    ours = slos(u[None, :, [0, 2, 3]])[0].tolist()
    for state, p in zip(slos.states.tolist(), ours, strict=True):
        assert p == pytest.approx(theirs[pcvl.BasicState(state)], abs=1e-6)


def test_photonic_figures_are_those_published():
    assert len(fock_states(10, 5)) == 2_002
    model = make_baseline("photonic")
    assert n_trained(model.network((784,), 10)) == 21_084
    control = make_baseline("photonic", {"quantum": {"variant": "classical"}})
    assert n_trained(control.network((784,), 10)) == 25_450
    torch.manual_seed(0)
    starter = StarterAnnotation(784, make_baseline("photonic", {"model": "starter"}).settings)
    out = starter(torch.rand(2, 784))
    assert out.shape == (2, 1_219)
    torch.testing.assert_close(out[:, 784:].sum(1), torch.ones(2), atol=1e-5, rtol=0)
    with pytest.raises(BaselineError, match="have no meaning for photons"):
        make_baseline("photonic", {"quantum": {"noise": {"depolarising": 0.1}}}).network((784,), 10)
    with pytest.raises(BaselineError, match="at most 200,000 are kept"):
        fock_states(30, 8)


def test_every_photonic_weight_gets_a_gradient():
    torch.manual_seed(0)
    optical = PhotonicQnn(40, make_baseline("photonic").settings)
    (optical(torch.rand(4, 40)) * torch.randn(2_002)).sum().backward()
    assert optical.unitarity_error() < 1e-5
    assert (optical.scale.grad != 0).all()
    assert (optical.first.grad != 0).float().mean() > 0.9  # phases on a mode without light turn nothing
    assert (optical.second.grad != 0).float().mean() > 0.9  # the last phases of a mode are not seen


# --- creeping ---


@pytest.mark.parametrize("n", [1, 2, 3])
def test_pauli_sums_equal_dense_ones(n):
    coefficients = torch.randn(2, 4**n)
    letters = ["I", "X", "Y", "Z"]
    single = {"I": np.eye(2), **naive._ONE_QUBIT}
    for row, ours in zip(coefficients, pauli_sum(coefficients), strict=True):
        dense = sum(
            value.item()
            * naive.on_wires(n, {q: single[letters[k // 4 ** (n - 1 - q) % 4]] for q in range(n)})
            for k, value in enumerate(row)
        )
        np.testing.assert_allclose(ours, dense, atol=1e-5)
    assert len(one_qubit_words(n)) == 3 * n


def test_generators_are_pennylanes():
    qml = pytest.importorskip("pennylane", reason="the extra 'quantum' is not installed")
    torch.manual_seed(0)
    gate = Generator((), 2, QuantumCreepConfig())
    theirs = qml.SpecialUnitary.compute_matrix(gate.theta.detach().double().numpy(), 2)
    np.testing.assert_allclose(gate().detach(), theirs, atol=1e-5)


@pytest.mark.parametrize("scale", [0.01, 1.0, 6.0])
def test_evolution_equals_the_matrix_exponential(scale):
    random = np.random.default_rng(0)
    m = scale * random.normal(size=(3, 16, 16))
    m = (m + m.transpose(0, 2, 1)) / 2
    psi = random.normal(size=(3, 16)) + 1j * random.normal(size=(3, 16))
    ours = evolve(torch.tensor(m, dtype=torch.float32), torch.tensor(psi, dtype=torch.complex64))
    expected = np.stack([expm(1j * a) @ b for a, b in zip(m, psi, strict=True)])
    np.testing.assert_allclose(ours, expected, atol=3e-5 * max(1, scale))


def test_gradients_of_the_evolution_are_those_of_the_matrix_exponential():
    torch.manual_seed(0)
    half, psi, seen = torch.randn(2, 6, 6).double(), torch.randn(2, 6, 2).double(), torch.randn(2, 6).double()
    half, psi = half.requires_grad_(), psi.requires_grad_()
    state = torch.view_as_complex(psi)
    m = half + half.mT
    both = []
    for out in (evolve(m, state), (torch.linalg.matrix_exp(1j * m) @ state[..., None])[..., 0]):
        loss = (out.abs().square() * seen).sum() + out.real.sum()
        both.append(torch.autograd.grad(loss, (half, psi), retain_graph=True))
    for ours, expected in zip(*both, strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-6)


def test_a_flipped_quanvolution_is_the_mean_of_expectations():
    torch.manual_seed(0)
    layer = FlippedQuanv(2, 3, QuantumCreepConfig())
    x = torch.randn(1, 2, 5, 5)
    out = layer(x)
    psi = layer.gates()[..., 0].detach().numpy()
    for o, i, j in np.ndindex(3, 3, 3):
        total = 0.0
        for c in range(2):
            patch = np.zeros((4, 4))
            patch[:3, :3] = x[0, c, i : i + 3, j : j + 3]
            total += (psi[o, c].conj() @ ((patch + patch.T) / 2) @ psi[o, c]).real / 2
        assert out[0, o, i, j].item() == pytest.approx(total, abs=1e-5)


def test_depolarised_kernels_are_mixed_states():
    torch.manual_seed(0)
    layer = FlippedQuanv(1, 2, QuantumCreepConfig(quantum={"noise": {"depolarising": 0.75}}))
    expected = (torch.eye(4) / 4)[:3, :3].expand(2, 1, 3, 3)
    torch.testing.assert_close(layer.kernels(), expected, atol=1e-6, rtol=0)


def test_kernels_are_what_shots_and_flipped_bits_tell_of_the_states():
    def layer(**quantum):
        torch.manual_seed(0)
        return FlippedQuanv(1, 2, QuantumCreepConfig(quantum=quantum))

    psi = layer().gates()[:, 0, :, 0].detach().numpy()
    rho = psi[:, :, None] * psi[:, None].conj()
    expected = np.zeros((2, 4, 4))
    for a, b in np.ndindex(4, 4):  # Pauli words; each bit that is read and flipped turns the sign
        word = np.kron(PAULIS[a], PAULIS[b])
        if (a == 2) == (b == 2):
            weight = (1 - 2 * 0.1) ** ((a > 0) + (b > 0))
            expected += weight * np.einsum("ij,nji->n", word, rho).real[:, None, None] * word.real / 4
    flipped = layer(noise={"readout_error": 0.1}).kernels()[:, 0].detach()
    np.testing.assert_allclose(flipped, expected[:, :3, :3], atol=1e-6)
    exact = layer().kernels()
    torch.manual_seed(1)
    errors = {}
    for shots in (20, 2000):
        noisy = layer(shots=shots)
        draws = torch.stack([noisy.kernels() for _ in range(200)])
        assert abs(draws.mean(0) - exact).max() < 4 * draws.std(0).max() / 200**0.5
        errors[shots] = draws.std(0).mean().item()
        (draws * torch.randn_like(draws)).sum().backward()
        assert (noisy.gates.theta.grad != 0).all()
    assert errors[20] / errors[2000] == pytest.approx(10, rel=0.15)
    assert noisy.work(torch.zeros(1, 1, 9, 9), noisy(torch.zeros(1, 1, 9, 9))).shots == 2 * 5 * 2000


@pytest.mark.parametrize(
    ("config", "n"),
    [
        ({"level": 0}, 130_394),
        ({"level": 1}, 133_658),
        ({"level": 2, "n_reps": 1}, 24_601),
        ({"level": 2, "n_reps": 10}, 172_048),
        ({"quantum": {"variant": "classical"}}, 163_225 + 320 + 4_624),
    ],
)
def test_creeping_networks_have_as_many_parameters_as_published(config, n):
    assert n_trained(make_baseline("quantum_creep", config).network((1, 28, 28), 10)) == n


def test_reuploading_keeps_probabilities_and_feeds_every_weight():
    torch.manual_seed(0)
    layer = Reupload(300, 10, QuantumCreepConfig(n_reps=2))
    x = torch.randn(3, 300)
    torch.testing.assert_close(layer.probabilities(x).sum(1), torch.ones(3), atol=1e-4, rtol=0)
    (layer(x) * torch.randn(3, 10)).sum().backward()
    assert (layer.gates.theta.grad != 0).float().mean() > 0.99
    assert layer.gates.unitarity_error() < 1e-4


def test_complex_parameters_drift_from_unitarity_and_real_ones_do_not():
    for complex_params, low, high in ((False, 0, 1e-4), (True, 0.05, 100)):
        torch.manual_seed(0)
        gate = Generator((), 3, QuantumCreepConfig(complex_params=complex_params))
        optimizer = torch.optim.Adam(gate.parameters(), 0.02)
        target = torch.randn(8) + 0j
        for _ in range(30):
            loss = (gate()[:, 0] - target).abs().square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert low <= gate.unitarity_error() < high, complex_params


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["qrnn", "photonic", "quantum_creep"])
def test_every_variant_trains(name, variant):
    x, y = bars()
    keys = {"qrnn": {"side": 4, "workspace": 3, "stages": 1}, "quantum_creep": {"level": 1}}.get(name, {})
    config = {"training": {"epochs": 1, "batch_size": 32}, "quantum": {"variant": variant}} | keys
    model = make_baseline(name, config).fit(x, y)
    p = model.predict_proba(x[:5])
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-4)
    assert (model.operations().circuits > 0) == (variant in ("full", "no_entanglement", "frozen"))
    assert model.n_parameters > 0
    assert all(epoch.unitarity_error < 1e-4 for epoch in model.history_)


@pytest.mark.parametrize("extra", [{"shots": 1024}, {"noise": {"depolarising": 0.01, "readout_error": 0.01}}])
@pytest.mark.parametrize("name", ["qrnn", "quantum_creep"])
def test_shots_and_noise_run(name, extra):
    x, y = bars()
    keys = {"qrnn": {"side": 4, "workspace": 3}, "quantum_creep": {"level": 2}}[name]
    model = make_baseline(name, {"training": {"epochs": 1}, "quantum": extra} | keys).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1, atol=1e-4)


def test_a_label_has_to_fit_in_the_steps_of_a_qrnn():
    QrnnClassifier(QrnnConfig(components=3, n_bits=2), 16)
    with pytest.raises(BaselineError, match="a label of 17 classes takes 3 of 3 steps"):
        QrnnClassifier(QrnnConfig(components=3, n_bits=2), 17)


@pytest.mark.parametrize("name", ["photonic", "qrnn", "quantum_creep"])
def test_simulators_that_do_not_know_a_part_are_refused(name):
    x, y = bars()
    with pytest.raises(BaselineError, match=f"{name}: quantum.simulator 'pennylane' cannot run its quantum"):
        make_baseline(name, {"quantum": {"simulator": "pennylane"}}).fit(x, y)


def test_readout_errors_of_labels_of_several_symbols_are_refused():
    x, y = bars()
    keys = {"side": 4, "n_bits": 1, "quantum": {"noise": {"readout_error": 0.1}}}
    with pytest.raises(BaselineError, match=r"until 2\^n_bits is at least 3"):
        make_baseline("qrnn", keys).fit(x, y)


def test_the_starter_and_the_recurrent_cell_learn():
    x, y = bars(200)
    keys = {"training": {"epochs": 15, "learning_rate": 0.01}}
    starter = make_baseline("photonic", keys | {"model": "starter", "transmittance": 0.5}).fit(x, y)
    assert starter.validation_accuracy_ > 0.9
    assert starter.n_parameters == 3 * (144 + 435 + 1)
    x, y = bars(200, n_classes=2)
    keys = {"side": 2, "workspace": 3, "stages": 1, "training": {"epochs": 20, "learning_rate": 0.05}}
    model = make_baseline("qrnn", keys).fit(x, y)
    assert model.validation_accuracy_ > 0.9
    punished = 10 ** model.network_.kept(torch.tensor(x[:, None] / 255, dtype=torch.float32)).mean()
    free = make_baseline("qrnn", keys | {"keep": 0.0}).fit(x, y).network_
    assert punished > 10 ** free.kept(torch.tensor(x[:, None] / 255, dtype=torch.float32)).mean()
