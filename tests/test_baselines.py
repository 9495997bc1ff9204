"""The contract of the baselines, the shared training loop, and the quantum systems' published figures."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from neurosim.baselines import BASELINES, baseline_class, make_baseline
from neurosim.baselines.base import NetworkBaseline, Operations, n_quantum, n_trained, samples
from neurosim.baselines.quantum.layer import QuantumLayer
from neurosim.baselines.robustness import fgsm, pgd
from neurosim.baselines.training import (
    Data,
    Epoch,
    TrainingConfig,
    best_epoch,
    evaluate,
    loss_of,
    seeded,
    train,
)
from neurosim.errors import BaselineError

ONE = {"training": {"epochs": 1}}


def digits(n=120, *, seed=0, side=28, n_classes=3):
    """Bars at a place that says the class, with noise; labels 10, 11, ..."""
    random = np.random.default_rng(seed)
    y = random.integers(n_classes, size=n)
    x = random.integers(0, 60, (n, side, side))
    for image, label in zip(x, y, strict=True):
        top = side * label // n_classes
        image[top : top + side // n_classes, side // 4 : -side // 4] += 180
    return x.astype(np.uint8), y + 10


def build(name, config=None, shape=(1, 28, 28), n_classes=10):
    torch.manual_seed(0)
    return make_baseline(name, config).network(shape, n_classes)


@pytest.mark.parametrize(
    ("name", "config", "n", "n_q"),
    [
        ("hqnn_parallel", {}, 45_194, 180),
        ("hqnn_parallel", {"quantum": {"variant": "deleted"}}, 45_014, 0),
        ("hqnn_parallel", {"quantum": {"variant": "linear"}}, 45_134, 0),
        ("hqnn_quanv", {}, 1_974, 4),
        ("hybrid_cnn", {}, 142_530, 8),
        ("hybrid_cnn", {"quantum": {"variant": "classical"}}, 151_754, 0),
    ],
)
def test_parameters_are_as_many_as_published(name, config, n, n_q):
    net = build(name, config)
    assert n_trained(net) == n
    assert n_quantum(net) == n_q


@pytest.mark.parametrize("name", ["hqnn_parallel", "hqnn_quanv", "quantum_transfer"])
def test_classical_twins_have_at_most_a_percent_fewer_parameters(name):
    shape = (5,) if name == "quantum_transfer" else (1, 28, 28)
    full = n_trained(build(name, shape=shape))
    twin = n_trained(build(name, {"quantum": {"variant": "classical"}}, shape))
    assert 0.97 < twin / full < 1.01


@pytest.mark.parametrize("name", ["hqnn_parallel", "hqnn_quanv", "hybrid_cnn"])
def test_every_quantum_weight_gets_a_gradient(name):
    torch.manual_seed(1)
    net = make_baseline(name).network((1, 28, 28), 10)
    net(torch.rand(32, 1, 28, 28)).square().sum().backward()
    (layer,) = (part for part in net.modules() if isinstance(part, QuantumLayer))
    assert layer.weights.grad.abs().min() > 0
    assert layer.unitarity_error() < 1e-5


VARIANTS = ["full", "no_entanglement", "frozen", "linear", "deleted", "classical"]
NETWORKS = ["hqnn_parallel", "hqnn_quanv", "hybrid_cnn", "quantum_transfer"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_variant_trains_and_counts(name, variant):
    x, y = digits(60)
    small = {"autoencoder_epochs": 1} if name == "quantum_transfer" else {}
    model = make_baseline(name, ONE | small | {"quantum": {"variant": variant}}).fit(x, y)
    probabilities = model.predict_proba(x[:7])
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert probabilities.shape == (7, 3)
    assert set(model.predict(x)) <= {10, 11, 12}
    work = model.operations()
    assert work.macs > 0
    assert (work.circuits > 0) == (variant in ("full", "no_entanglement", "frozen"))
    assert variant != "no_entanglement" or not {"CNOT", "CZ"} & set(work.gates)
    trained = variant in ("full", "no_entanglement") and name != "quantum_transfer"
    assert (model.n_quantum_parameters > 0) == trained


@pytest.mark.parametrize("name", ["hqnn_parallel", "hybrid_cnn", "quantum_transfer"])
def test_shots_and_noise_change_answers_a_little(name):
    x, y = digits(60)
    small = ONE | ({"autoencoder_epochs": 1} if name == "quantum_transfer" else {})
    exact = make_baseline(name, small).fit(x, y)
    for extra in ({"shots": 1024}, {"noise": {"depolarising": 0.01, "readout_error": 0.01}}):
        model = make_baseline(name, small | {"quantum": extra}).fit(x, y)
        model.network_.load_state_dict(exact.network_.state_dict())
        change = np.abs(model.predict_proba(x) - exact.predict_proba(x)).max()
        assert 0 < change < 0.3
        assert model.operations().shots == model.operations().circuits * extra.get("shots", 0)
        np.testing.assert_array_equal(model.predict_proba(x), model.predict_proba(x))


def test_hybrids_learn():
    x, y = digits(400)
    test_x, test_y = digits(200, seed=1)
    recipe = {"training": {"epochs": 6, "learning_rate": 3e-3, "batch_size": 32}}
    model = make_baseline("hqnn_parallel", recipe).fit(x, y)
    assert model.score(test_x, test_y) > 0.95
    assert model.validation_accuracy_ == model.history_[model.best_epoch_ - 1].accuracy


def test_a_hybrid_sits_on_liquid_states():
    random = np.random.default_rng(0)
    y = random.integers(3, size=300)
    states = random.poisson(2.0 + 4 * np.eye(3)[y][:, [0, 1, 2] * 20]).astype(np.uint16)
    model = make_baseline(
        "hqnn_parallel",
        {"inputs": "states", "training": {"epochs": 8, "learning_rate": 1e-2}},
    )
    assert model.fit(states[:200], y[:200]).score(states[200:], y[200:]) > 0.9


def test_the_same_seed_trains_the_same_network_and_leaves_the_generator_alone():
    x, y = digits(60)
    state = torch.get_rng_state()
    first, second, other = (make_baseline("hqnn_parallel", ONE, seed=s).fit(x, y) for s in (0, 0, 1))
    assert np.array_equal(first.predict_proba(x), second.predict_proba(x))
    assert not np.array_equal(first.predict_proba(x), other.predict_proba(x))
    assert torch.equal(state, torch.get_rng_state())
    again = clone(first).fit(x, y)
    assert np.array_equal(first.predict_proba(x), again.predict_proba(x))


def test_an_interrupted_training_goes_on_to_the_same_network(tmp_path):
    x, y = digits(60)
    config = {"training": {"epochs": 4}}
    whole = make_baseline("hybrid_cnn", config).fit(x, y)

    def stop(name, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_baseline("hybrid_cnn", config).fit(x, y, checkpoint=tmp_path / "run", progress=stop)
    passes = []
    resumed = make_baseline("hybrid_cnn", config).fit(
        x, y, checkpoint=tmp_path / "run", progress=lambda *a: passes.append(a[1])
    )
    assert passes == [3, 4]
    assert np.array_equal(whole.predict_proba(x), resumed.predict_proba(x))
    assert len(resumed.history_) == 4
    other = make_baseline("hybrid_cnn", config, seed=1)  # another run starts anew
    passes.clear()
    other.fit(x, y, checkpoint=tmp_path / "run", progress=lambda *a: passes.append(a[1]))
    assert passes == [1, 2, 3, 4]
    passes.clear()  # so does one that another validation part chooses for
    other.fit(x, y, validation=(x, y), checkpoint=tmp_path / "run", progress=lambda *a: passes.append(a[1]))
    passes.clear()
    other.fit(
        x, y, validation=(x, y[::-1]), checkpoint=tmp_path / "run", progress=lambda *a: passes.append(a[1])
    )
    assert passes == [1, 2, 3, 4]


def test_validation_chooses_the_epoch_and_stops_early():
    history = [
        Epoch(1, a, loss, 1, 0) for a, loss in ((0.5, 1), (0.8, 0.9), (0.8, 0.5), (0.8, 0.5), (0.7, 0.1))
    ]
    assert best_epoch(history) == 2
    x, y = torch.rand(64, 4), torch.zeros(64, dtype=torch.int64)
    y[::2] = 1
    x[:, 0] = y
    with seeded(0, "a"):
        net = nn.Linear(4, 2)
        config = TrainingConfig(epochs=50, patience=2, learning_rate=0.1)
        history = train(net, Data(x, y), Data(x, 1 - y), config)  # learns the opposite of validation
    assert len(history) == best_epoch(history) + 1 + 2
    assert evaluate(net, Data(x, 1 - y), loss_of(config))[0] == max(e.accuracy for e in history)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle", "warm_restarts"])
def test_schedules_are_pytorchs(schedule):
    from neurosim.baselines.training import _rate

    config = TrainingConfig(epochs=4, schedule=schedule, learning_rate=1e-3, max_learning_rate=2e-3)
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], 1e-3)
    lr = torch.optim.lr_scheduler
    theirs = {
        "constant": lambda: lr.ConstantLR(optimizer, 1.0),
        "cosine": lambda: lr.CosineAnnealingLR(optimizer, 40),
        "one_cycle": lambda: lr.OneCycleLR(optimizer, 2e-3, total_steps=40, cycle_momentum=False),
        "warm_restarts": lambda: lr.CosineAnnealingWarmRestarts(optimizer, 5),
    }[schedule]()
    for step in range(40):
        assert _rate(config, step, 10) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=1e-12)
        optimizer.step()
        if step < 39:
            theirs.step()


def test_attacks_stay_within_epsilon_and_the_pixels():
    x, y = digits(300)
    model = make_baseline(
        "hybrid_cnn", {"training": {"epochs": 4, "augment": "none", "schedule": "constant"}}
    ).fit(x, y)
    pixels = x[:100, None].astype(np.float32) / 255
    clean = model.score(pixels, y[:100])
    for attacked in (
        fgsm(model, x[:100], y[:100], 0.2),
        pgd(model, x[:100], y[:100], 0.2, step=0.05, n_steps=8),
    ):
        assert attacked.min() >= 0
        assert attacked.max() <= 1
        assert np.abs(attacked - pixels).max() < 0.2 + 1e-6
        assert model.score(attacked, y[:100]) < clean
    with pytest.raises(BaselineError, match="give images in \\[0, 1\\] or uint8"):
        fgsm(model, pixels * 2 - 1, y[:100], 0.1)
    with pytest.raises(BaselineError, match="label 77 is not among those"):
        fgsm(model, x[:2], np.array([y[0], 77]), 0.1)


def test_forms_of_samples():
    frames = np.ones((2, 5, 2, 4, 4), np.uint8)
    assert samples(frames, "image", "a").shape == (2, 2, 4, 4)
    assert samples(frames, "image", "a").max() == 5
    assert samples(frames, "sequence", "a").shape == (2, 5, 32)
    assert samples(frames, "vector", "a").shape == (2, 32)
    assert samples(np.ones((3, 784)), "image", "a").shape == (3, 1, 28, 28)
    assert samples(np.ones((3, 2, 7, 9)), "sequence", "a").shape == (3, 7, 18)
    counts = np.full((2, 9), 7, np.uint8)
    assert (
        samples(counts, "vector", "a").dtype == np.float32
    )  # counts stay as they are, grey levels are bytes
    assert samples(counts, "image", "a").dtype == np.uint8
    for bad, message in (
        (np.ones((3, 785)), "are no images"),
        (np.full((3, 4, 4), np.nan), "samples hold nan; give finite numbers"),
        (np.array([["a", "b"]]), "give numbers"),
    ):
        with pytest.raises(BaselineError, match=message):
            samples(bad, "image", "a")


def test_wrong_use_is_explained():
    x, y = digits(30)
    with pytest.raises(BaselineError, match="no baseline 'hqnn'; did you mean"):
        make_baseline("hqnn")
    with pytest.raises(BaselineError, match=r"quantum.shot: unknown key; did you mean 'shots'"):
        make_baseline("hqnn_parallel", {"quantum": {"shot": 3}})
    model = make_baseline("hqnn_parallel", ONE)
    with pytest.raises(BaselineError, match="all labels are 10"):
        model.fit(x, np.full(30, 10))
    with pytest.raises(BaselineError, match="validation label 99 is not among"):
        model.fit(x, y, validation=(x, np.full(30, 99)))
    model.fit(x, y)
    with pytest.raises(BaselineError, match="but it was trained on"):
        model.predict(x[:, :20, :20])
    with pytest.raises(BaselineError, match="take a lower training"):
        make_baseline("hqnn_parallel", {"training": {"learning_rate": 1e30, "optimizer": "sgd"}}).fit(x, y)


def test_keys_lie_over_the_baselines_own_recipe():
    config = make_baseline("hybrid_cnn", {"training": {"epochs": 2}, "quantum": {"shots": 10}}).settings
    assert config.training.epochs == 2
    assert config.training.optimizer == "adamw"
    assert config.training.schedule == "one_cycle"
    assert config.quantum.shots == 10
    assert make_baseline("cnn_svm", {"training": {"epochs": 2}}).settings.training.loss == "hinge"


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_has_a_card(name):
    found = baseline_class(name)
    assert found.name == name
    assert all(len(text) > 10 for text in vars(found.facts).values())
    assert isinstance(found().settings, found.Config)


def test_names_need_no_torch():
    code = "import sys, neurosim.baselines; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["hqnn_parallel", "hybrid_cnn", "quantum_transfer"])
def test_command_line_shows_card_and_circuit(name):
    from typer.testing import CliRunner

    from neurosim.cli import app

    shown = CliRunner().invoke(app, ["baselines", "show", name])
    assert shown.exit_code == 0
    assert "headline" in shown.output
    assert "⊕" in shown.output
    assert "quantum.shots = false" in shown.output
    listed = CliRunner().invoke(app, ["baselines", "list"])
    assert all(known in listed.output for known in BASELINES)


def test_operations_add_up():
    x, y = digits(30)
    model = make_baseline("hqnn_parallel", ONE | {"quantum": {"shots": 100}}).fit(x, y)
    conv = 16 * 25 * 28 * 28 + 32 * 16 * 25 * 14 * 14
    gates = {"CNOT": 60, "RX": 20, "RY": 60, "RZ": 120}
    assert model.operations() == Operations(conv + 1568 * 20 + 20 * 3, 4, gates, 20, 400)
    assert isinstance(model, NetworkBaseline)


def test_networks_need_only_torch_numpy_pydantic_and_scikit_learn():
    code = (
        "import sys, neurosim.events.idx, neurosim.results; from neurosim.baselines import *\n"
        "from neurosim.baselines import robustness\n"
        "[make_baseline(name) for name in BASELINES]\n"
        "heavy = {'brian2', 'snntorch', 'optuna', 'tonic', 'numba', 'pennylane', 'reservoirpy', "
        "'matplotlib'}\nsys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_model_that_rounds_its_input_cannot_be_attacked() -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (12, 4, 4)).astype(np.uint8), np.arange(12) % 2
    config = {"side": 2, "n_bits": 1, "workspace": 1, "degree": 1, "training": {"epochs": 1}}
    model = make_baseline("qrnn", config).fit(x, y)
    with pytest.raises(BaselineError, match="qrnn rounds its input"):
        fgsm(model, x, y, 0.1)  # type: ignore[arg-type]
