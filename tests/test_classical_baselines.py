"""The classical rivals: they learn, equal their references, and say what they cost."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from neurosim.baselines import make_baseline
from neurosim.baselines.base import n_trained
from neurosim.baselines.classical.srnn import SpikingNetwork, SrnnConfig, surrogate
from neurosim.baselines.training import TrainingConfig, loss_of
from neurosim.errors import MissingExtraError

QUICK = {"training": {"epochs": 15, "batch_size": 32, "learning_rate": 3e-3}}


def frames(n=300, *, seed=0, steps=12, channels=10, n_classes=3):
    """Event frames whose busy channels say the class."""
    random = np.random.default_rng(seed)
    y = random.integers(n_classes, size=n)
    rates = np.full((n_classes, channels), 0.1)
    for k in range(n_classes):
        rates[k, k::n_classes] = 0.5
    return (random.random((n, steps, channels)) < rates[y][:, None]).astype(np.uint8), y + 5


NAMES = ["logistic", "knn", "mlp", "cnn", "cnn_svm", "rnn", "gru", "lstm", "srnn", "esn"]


@pytest.mark.parametrize("name", NAMES)
def test_learns_and_counts(name):
    if name == "esn":
        pytest.importorskip("reservoirpy", reason="the extra 'esn' is not installed")
    config = {"logistic": {}, "knn": {}, "esn": {"units": 40}}.get(name, QUICK)
    config = config | ({"hidden": 40} if name in ("rnn", "gru", "lstm", "srnn", "cnn", "cnn_svm") else {})
    x, y = frames()
    test_x, test_y = frames(150, seed=1)
    if name.startswith("cnn"):  # reads them as grey images
        x, test_x = 255 * x, 255 * test_x
    model = make_baseline(name, config).fit(x, y)
    assert model.score(test_x, test_y) > 0.85
    p = model.predict_proba(test_x[:4])
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    again = make_baseline(name, config).fit(x, y)
    assert np.array_equal(model.predict_proba(test_x), again.predict_proba(test_x))
    assert model.n_parameters > 30
    assert model.operations().macs > 30
    assert model.operations().circuits == 0


def test_logistic_is_scikit_learns():
    x, y = frames()
    counts = x.reshape(len(x), -1).astype(np.float32)
    model = make_baseline("logistic", {"weight_decay": [0.01]}).fit(x, y, validation=(x, y))
    z = StandardScaler().fit_transform(counts)
    theirs = LogisticRegression(C=1 / (2 * 300 * 0.01), max_iter=200).fit(z, y)
    np.testing.assert_allclose(model.predict_proba(x), theirs.predict_proba(z), atol=1e-3)
    assert model.n_parameters == 3 * (120 + 1)
    assert model.operations().macs == 3 * 120


def test_knn_is_scikit_learns_and_keeps_everything():
    x, y = frames()
    model = make_baseline("knn", {"k": [5], "weights": "uniform"}).fit(x, y, validation=(x, y))
    flat = x.reshape(len(x), -1).astype(np.float32)
    theirs = KNeighborsClassifier(5).fit(flat, y)
    assert np.array_equal(model.predict(x), theirs.predict(flat))
    assert model.n_parameters == x.size


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_recurrent_networks_count_every_gate(name, gates):
    net = make_baseline(name, {"hidden": 7}).network((12, 10), 3)
    assert n_trained(net) == gates * (7 * (10 + 7) + 2 * 7) + 3 * 8
    x, y = frames(40)
    model = make_baseline(name, {"hidden": 7, "training": {"epochs": 1}}).fit(x, y)
    assert model.operations().macs == 12 * gates * 7 * (10 + 7) + 3 * 7


def test_networks_have_the_papers_layers():
    assert n_trained(make_baseline("cnn").network((1, 28, 28), 10)) == 832 + 51_264 + 3_212_288 + 10_250
    assert n_trained(make_baseline("mlp").network((784,), 10)) == 784 * 256 + 256 + 2_570
    assert n_trained(make_baseline("srnn").network((50, 256), 10)) == 256 * 200 + 200 * 200 + 2_010


def test_the_hinge_is_that_of_a_support_vector_machine():
    out = torch.tensor([[2.0, -0.5, 0.3], [0.2, 0.1, -3.0]])
    y = torch.tensor([0, 1])
    by_hand = [(0 + 0.5**2 + 1.3**2), (1.2**2 + 0.9**2 + 0)]
    assert loss_of(TrainingConfig(loss="hinge"))(out, y).item() == pytest.approx(sum(by_hand) / 2)


@pytest.mark.parametrize("readout", ["ann", "spiking"])
def test_spiking_neurons_follow_their_equation(readout):
    torch.manual_seed(0)
    net = SpikingNetwork(6, SrnnConfig(hidden=5, readout=readout, beta=0.9, threshold=0.3), 3)
    x = torch.rand(2, 8, 6)
    out = net(x).detach()
    w, u = net.entry.weight.detach(), net.recurrence.weight.detach()
    mem, s, counts = torch.zeros(2, 5), torch.zeros(2, 5), torch.zeros(2, 5)
    out_mem, fired, total = torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 3)
    for t in range(8):
        mem = 0.9 * mem * (1 - s) + (x[:, t] @ w.T + s @ u.T)
        s = (mem > 0.3).float()
        counts += s
        out_mem = 0.9 * out_mem * (1 - fired) + net.head(s).detach()
        fired = (out_mem > 0.3).float()
        total += fired
    expected = net.head(counts / 8).detach() if readout == "ann" else total * 10 / 8
    torch.testing.assert_close(out, expected)


def test_the_surrogate_is_a_rectangle():
    x = torch.tensor([-0.3, -0.2, 0.0, 0.2, 0.3], requires_grad=True)
    y = surrogate()(x)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0, 1, 1]
    assert x.grad.tolist() == [0, 2, 2, 2, 0]


def test_spiking_readout_trains():
    x, y = frames()
    model = make_baseline("srnn", QUICK | {"hidden": 40, "readout": "spiking"}).fit(x, y)
    assert model.validation_accuracy_ > 0.8
    assert 0 < model.network_.rate < 1


def test_the_echo_state_network_is_random_by_its_seed_and_says_what_is_missing(monkeypatch):
    pytest.importorskip("reservoirpy", reason="the extra 'esn' is not installed")
    x, y = frames(60)
    a, b = (make_baseline("esn", {"units": 20}, seed=s).fit(x, y).predict_proba(x) for s in (0, 1))
    assert not np.array_equal(a, b)
    monkeypatch.setitem(__import__("sys").modules, "reservoirpy.nodes", None)
    with pytest.raises(MissingExtraError, match="pip install 'neurosim-codesign"):
        make_baseline("esn").fit(x, y)
