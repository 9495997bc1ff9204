"""Every readout is a scikit-learn classifier, equals its reference, and lets validation choose."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_estimator

from neurosim.errors import ExperimentError
from neurosim.readout import READOUTS, ReadoutConfig, base, make_readout, network
from neurosim.readout.base import BLOCK, fit_scaling
from neurosim.readout.config import KNOBS
from neurosim.readout.convex import LogisticReadout, RidgeReadout, SVMReadout
from neurosim.readout.network import LinearReadout, MLPReadout

NETWORKS = ["linear", "mlp", "hyperspherical", "nested"]


def counts(n: int, *, seed: int, n_features: int = 20, n_classes: int = 3, spread: float = 0.6):
    """Spike counts, Poisson with log-normal rates of every class, and their labels 10, 11, ..."""
    rates = 4 * np.exp(spread * np.random.default_rng(0).standard_normal((n_classes, n_features)))
    random = np.random.default_rng(seed)
    y = random.integers(n_classes, size=n)
    return random.poisson(rates[y]).astype(np.uint8), y + 10


def readout(kind: str, *, seed: int = 0, **knobs: object):
    size = {"hidden": 64} if kind == "mlp" else {}
    return make_readout(ReadoutConfig(kind=kind, **size | knobs), seed=seed)


@pytest.mark.parametrize("kind", READOUTS)
def test_is_a_scikit_learn_classifier(kind):
    results = check_estimator(readout(kind), on_skip=None)
    # scikit-learn leaves these two out on a machine without pandas or the array API
    optional = {"check_array_api_input", "check_classifier_data_not_an_array"}
    assert len(results) > 50
    assert {r["check_name"] for r in results if r["status"] != "passed"} <= optional


@pytest.mark.parametrize("scaling", ["none", "standard", "sqrt"])
@pytest.mark.parametrize("kind", READOUTS)
def test_learns_spike_counts(kind, scaling):
    x, y = counts(600, seed=1)
    model = readout(kind, scaling=scaling).fit(x, y, validation=counts(200, seed=2))
    test_x, test_y = counts(300, seed=3)
    assert model.score(test_x, test_y) > 0.95
    assert model.validation_accuracy_ > 0.95


@pytest.mark.parametrize("kind", READOUTS)
def test_integer_states_equal_float_states(kind):
    x, y = counts(300, seed=1)
    models = [readout(kind, scaling="sqrt").fit(x.astype(t), y) for t in (np.uint8, np.uint16, np.float32)]
    scores = [m.decision_function(x) for m in models]
    assert np.array_equal(scores[0], scores[1])
    assert np.array_equal(scores[0], scores[2])
    assert scores[0].dtype == np.float32


@pytest.mark.parametrize("kind", READOUTS)
def test_same_seed_same_readout(kind):
    x, y = counts(300, seed=1, spread=0.2)
    state = torch.get_rng_state()
    first, second = (readout(kind).fit(x, y).decision_function(x) for _ in range(2))
    assert np.array_equal(first, second)
    other = readout(kind, seed=1).fit(x, y).decision_function(x)
    assert not np.array_equal(first, other)
    assert torch.equal(state, torch.get_rng_state())  # the global generator is left alone


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_ridge_equals_scikit_learn(n_classes, scaling):
    n = BLOCK + 700  # more than one block
    x, y = counts(n, seed=1, n_classes=n_classes, spread=0.2)
    model = RidgeReadout(weight_decay=(0.03,), scaling=scaling).fit(x, y, validation=(x, y))
    z = x.astype(np.float64)
    z = StandardScaler().fit_transform(z) if scaling == "standard" else z
    theirs = RidgeClassifier(alpha=0.03 * n).fit(z, y).decision_function(z)
    ours = model.decision_function(x) / (2 if n_classes == 2 else 1)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_equals_scikit_learn(n_classes):
    x, y = counts(400, seed=1, n_classes=n_classes, spread=0.2)
    model = LogisticReadout(weight_decay=(0.01,)).fit(x.astype(float), y, validation=(x, y))
    z = StandardScaler().fit_transform(x)
    theirs = LogisticRegression(C=1 / (400 * 0.01)).fit(z, y)
    np.testing.assert_allclose(model.predict_proba(x.astype(float)), theirs.predict_proba(z), atol=1e-3)


def test_linear_trained_out_equals_logistic_regression():
    random = np.random.default_rng(0)
    x = random.integers(2, size=(600, 2))
    favourite = np.array([[0, 1], [2, 2]])[tuple(x.T)]
    y = np.where(random.random(600) < 0.6, favourite, random.integers(3, size=600))
    model = LinearReadout(weight_decay=(0.0,), learning_rate=0.05, epochs=200, patience=200, batch_size=600)
    model.fit(x.astype(float), y, validation=(x, y))
    theirs = LogisticRegression(C=np.inf, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(x), theirs.predict_proba(x), atol=1e-4)


@pytest.mark.parametrize("kind", READOUTS)
def test_validation_chooses_the_weight_decay(kind):
    # two neurons share a loud drive and one also carries the class: strong decay leaves the loud direction
    random = np.random.default_rng(0)
    y = random.integers(2, size=600)
    drive = random.normal(0, 4, 600)
    x = np.stack([drive + 2 * y, drive], axis=1) + random.normal(0, 0.3, (600, 2))
    x, y, validation = x[:300], y[:300], (x[300:], y[300:])
    knobs = {"learning_rate": 0.03, "epochs": 60, "patience": 60} if kind in NETWORKS else {}
    good, bad = 1e-4, 30.0
    alone = [readout(kind, weight_decay=[d], **knobs).fit(x, y, validation) for d in (good, bad)]
    assert alone[0].validation_accuracy_ > alone[1].validation_accuracy_ + 0.05
    for candidates in ([good, bad], [bad, good]):
        model = readout(kind, weight_decay=candidates, **knobs).fit(x, y, validation)
        assert model.chosen_["weight_decay"] == good
        assert model.validation_accuracy_ == model.score(*validation)


def test_candidates_trained_together_equal_candidates_trained_alone():
    x, y = counts(300, seed=1, spread=0.2)
    together = LinearReadout(weight_decay=(100.0, 10.0, 0.1)).fit(x.astype(float), y)
    alone = LinearReadout(weight_decay=(together.chosen_["weight_decay"],)).fit(x.astype(float), y)
    np.testing.assert_allclose(together.predict_proba(x), alone.predict_proba(x), atol=1e-9)
    assert together.chosen_ == alone.chosen_


@pytest.mark.parametrize("kind", NETWORKS)
def test_early_stopping_keeps_the_best_epoch(kind):
    x, y = counts(100, seed=1, n_features=50, spread=0.1)
    validation = counts(100, seed=2, n_features=50, spread=0.1)
    knobs = {"learning_rate": 0.01, "schedule": "constant", "batch_size": 20, "weight_decay": [0.01]}
    model = readout(kind, epochs=40, patience=40, **knobs).fit(x, y, validation)
    epochs = model.chosen_["epochs"]
    assert epochs < 40
    assert model.score(*validation) == model.validation_accuracy_
    stopped = readout(kind, epochs=epochs, patience=40, **knobs).fit(x, y, validation)
    assert np.array_equal(stopped.decision_function(x), model.decision_function(x))


@pytest.mark.parametrize("patience", [3, 20])
def test_patience_ends_training(monkeypatch, patience):
    epochs_run = []

    def counted(*args):
        epochs_run.append(1)
        return score(*args)

    score = network._score
    monkeypatch.setattr(network, "_score", counted)
    x, y = counts(100, seed=1)
    turned = np.array([11, 12, 10])[y - 10]  # validation that training can only make worse
    model = LinearReadout(epochs=300, patience=patience).fit(x, y, validation=(x, turned))
    assert len(epochs_run) == model.chosen_["epochs"] + patience


def test_a_diverged_candidate_loses():
    x, y = counts(200, seed=1)
    model = LinearReadout(weight_decay=(1e9, 0.1), batch_size=20).fit(x, y)
    assert model.chosen_["weight_decay"] == 0.1
    alone = LinearReadout(weight_decay=(1e9,), batch_size=20).fit(x, y)
    assert 0 <= alone.validation_accuracy_ < model.validation_accuracy_


@pytest.mark.parametrize("knob", [{"dropout": 0.8}, {"label_smoothing": 0.5}, {"hidden": 8}])
def test_mlp_knobs_change_the_network(knob):
    x, y = counts(300, seed=1, spread=0.2)
    plain = readout("mlp", epochs=3, dropout=0.0).fit(x, y)
    changed = readout("mlp", epochs=3, **{"dropout": 0.0, **knob}).fit(x, y)
    assert not np.allclose(plain.predict_proba(x), changed.predict_proba(x), atol=1e-3)
    assert changed.layers_[0][0].shape == (20, knob.get("hidden", 64))


def test_without_validation_a_stratified_tenth_is_held_out():
    x, y = counts(400, seed=1)
    model = RidgeReadout(weight_decay=(0.1,)).fit(x, y)
    assert (model.validation_accuracy_ * 40).is_integer()
    tiny = np.concatenate([np.flatnonzero(y == label)[:2] for label in (10, 11)])
    model.fit(x[tiny], y[tiny])  # less than one per class in a tenth: all four train and validate
    assert (model.validation_accuracy_ * 4).is_integer()
    np.testing.assert_allclose(model.scaling_.mean, x[tiny].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("root", [False, True])
def test_scaling_over_blocks_equals_scaling_at_once(root):
    x = np.random.default_rng(0).poisson(7, size=(2 * BLOCK + 5, 6)).astype(np.uint16)
    x[:, 2] = 40_000
    rows = np.arange(3, len(x))
    scaling = fit_scaling(x, rows, "sqrt" if root else "standard")
    reference = np.sqrt(x[rows]) if root else x[rows].astype(float)
    expected = StandardScaler().fit_transform(reference.astype(float))
    np.testing.assert_allclose(scaling(x[rows]), expected, atol=1e-5)
    assert x.dtype == np.uint16
    assert x.max() == 40_000


@pytest.mark.parametrize("kind", READOUTS)
def test_bad_states_and_labels_are_named(kind):
    x, y = counts(60, seed=1)
    with pytest.raises(ExperimentError, match=r"all 60 training labels are of one class \(7\)"):
        readout(kind).fit(x, np.full(60, 7))
    with pytest.raises(ValueError, match=r"X has 19 features, but .*Readout is expecting 20"):
        readout(kind).fit(x, y, validation=(x[:, :19], y))
    with pytest.raises(ValueError, match=r"X has 19 features, but .*Readout is expecting 20"):
        readout(kind).fit(x, y).predict(x[:, :19])
    with pytest.raises(ExperimentError, match=r"validation label 99 does not occur .* 10, 11, 12"):
        readout(kind).fit(x, y, validation=(x, np.full(60, 99)))
    with pytest.raises(ExperimentError, match=r"needs states >= 0, got -1.0; use scaling 'standard'"):
        readout(kind, scaling="sqrt").fit(x.astype(np.float32) - 1 - x.min(), y)
    with pytest.raises(ExperimentError, match="weight_decay is empty"):
        readout(kind).set_params(weight_decay=()).fit(x, y)


def test_ridge_without_weight_decay_meets_silent_neurons():
    x, y = counts(60, seed=1)
    x[:, 4] = 0
    with pytest.raises(ExperimentError, match=r"weight_decay 0.0 is too small"):
        RidgeReadout(weight_decay=(0.0,)).fit(x, y)


@pytest.mark.parametrize("kind", READOUTS)
def test_config_names_the_knobs_of_each_kind(kind):
    assert set(readout(kind).get_params()) == KNOBS[kind] | {"random_state"}
    assert readout(kind, weight_decay=[0.5]).weight_decay == (0.5,)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"kind": "perceptron"}, "'linear', 'mlp', 'ridge', "),
        ({"kind": "ridge", "hidden": 64}, "kind 'ridge' has no hidden; remove it; allowed: scaling, "),
        ({"kind": "mlp", "dropout": 1.0}, "less than 1"),
        ({"kind": "mlp", "hidden": 0}, "kind 'mlp' needs at least 1"),
        ({"kind": "nested", "scale": 5.0}, "scale has no effect without head 'hyperspherical'"),
        ({"kind": "nested", "head": "svm", "label_smoothing": 0.1}, "label_smoothing has no effect"),
        ({"kind": "nested", "columns": 1}, "greater than or equal to 2"),
        ({"weight_decay": []}, "at least 1 item"),
        ({"weight_decay": [-1.0]}, "greater than or equal to 0"),
        ({"scaling": "log"}, "'none', 'standard' or 'sqrt'"),
    ],
)
def test_config_refuses(knobs, message):
    with pytest.raises(ValidationError, match=message):
        ReadoutConfig(**knobs)


def test_torch_is_imported_only_for_networks():
    code = (
        "import sys; from neurosim.readout import ReadoutConfig, make_readout;"
        "heavy = {'torch', 'sklearn'} & set(sys.modules);"
        "make_readout(ReadoutConfig(kind='ridge'), seed=0);"
        "sys.exit(bool(heavy) or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_states_scaled_once_train_the_same_readout(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    x, y = draw.poisson(3, (200, 12)).astype(np.uint8), draw.integers(0, 3, 200)
    config = ReadoutConfig(kind=kind, epochs=3)
    once = make_readout(config, seed=1).fit(x, y)
    monkeypatch.setattr(base, "SCALED_BYTES", 0)
    each_time = make_readout(config, seed=1).fit(x, y)
    for ours, theirs in zip(once.layers_, each_time.layers_, strict=True):
        assert_array_equal(ours[0], theirs[0])
        assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("n_classes", [2, 4])
def test_svm_equals_scikit_learn(n_classes):
    x, y = counts(400, seed=1, n_classes=n_classes, spread=0.2)
    model = SVMReadout(weight_decay=(0.01,)).fit(x.astype(float), y, validation=(x, y))
    z = StandardScaler().fit_transform(x)
    # a large intercept_scaling frees the intercept, which LinearSVC otherwise pulls to zero
    theirs = LinearSVC(C=1 / (2 * 400 * 0.01), dual=False, intercept_scaling=100, tol=1e-8).fit(z, y)
    ours = model.decision_function(x.astype(float)) / (2 if n_classes == 2 else 1)
    np.testing.assert_allclose(ours, theirs.decision_function(z), atol=5e-3)


def test_hyperspherical_scores_are_cosines_of_its_projection():
    x, y = counts(300, seed=1)
    model = readout("hyperspherical", width=16, scale=7.0).fit(x.astype(float), y)
    e, (vectors, last) = model.project(x.astype(float)), model.layers_[1]
    np.testing.assert_allclose(np.linalg.norm(e, axis=1), 1)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), 7)
    assert not last.any()
    np.testing.assert_allclose(model.decision_function(x.astype(float)), e @ vectors, atol=1e-9)
    assert model.activation == "normalise"


def test_a_class_is_added_as_one_vector_and_recognised():
    x, y = counts(1500, seed=1, n_features=40, n_classes=6)
    known = y < 14
    model = readout("hyperspherical", width=32, learning_rate=0.01).fit(x[known], y[known])
    before = model.layers_[1][0].copy()
    for label in (14, 15):
        model.add_class(x[y == label][:10], label)
    assert model.classes_.tolist() == [10, 11, 12, 13, 14, 15]
    assert np.array_equal(model.layers_[1][0][:, :4], before)
    shots = x[y == 15][:10]
    mean = model.project(shots).mean(axis=0)
    np.testing.assert_allclose(model.layers_[1][0][:, 5], 10 * mean / np.linalg.norm(mean), rtol=1e-5)
    test_x, test_y = counts(600, seed=2, n_features=40, n_classes=6)
    assert model.score(test_x[test_y >= 14], test_y[test_y >= 14]) > 0.9
    assert model.score(test_x[test_y < 14], test_y[test_y < 14]) > 0.9
    with pytest.raises(ExperimentError, match="class 12 is known already, as are 10, 11"):
        model.add_class(shots, 12)
    with pytest.raises(ExperimentError, match=r"class 'new' and those known already \(10, 11, .*their type"):
        model.add_class(shots, "new")
    assert model.classes_.dtype.kind == "i"
    with pytest.raises(ValueError, match="X has 39 features"):
        model.add_class(shots[:, 1:], 99)


@pytest.mark.parametrize("head", ["linear", "svm", "hyperspherical"])
def test_first_columns_of_a_nested_projection_work_alone(head):
    x, y = counts(800, seed=1, n_classes=4, spread=0.5)
    test = counts(600, seed=3, n_classes=4, spread=0.5)
    nested = readout("nested", head=head, width=32, learning_rate=0.01).fit(x, y)
    assert list(nested.accuracy_of_width_) == [8, 16, 32]
    for columns, width in [(16, 8), (31, 8), (32, 16), (64, 32), (1000, 32)]:
        narrow = nested.narrowed(columns)
        (weight, bias), (vectors, _) = narrow.layers_
        assert weight.shape[1] == len(bias) == len(vectors) == narrow.chosen_["width"] == width
        assert np.array_equal(weight, nested.nested_layers_[0][0][:, :width])
        assert narrow.validation_accuracy_ == nested.accuracy_of_width_[width]
        assert narrow.score(*test) > nested.score(*test) - 0.03
        assert narrow.score(*test) > 0.85
    budget = readout("nested", head=head, width=32, learning_rate=0.01, columns=40).fit(x, y)
    assert np.array_equal(budget.decision_function(x), nested.narrowed(40).decision_function(x))
    assert hasattr(nested, "predict_proba") == (head != "svm")
    with pytest.raises(ExperimentError, match=r"columns \(=15\) hold none of the widths 8, 16, 32, .* 16"):
        nested.narrowed(15)


def test_truncating_a_projection_that_is_not_nested_loses_more():
    x, y = counts(800, seed=1, n_classes=8, spread=0.25)
    test = counts(800, seed=3, n_classes=8, spread=0.25)
    nested = readout("nested", width=64, learning_rate=0.01).fit(x, y)
    plain = MLPReadout(hidden=64, dropout=0.0, learning_rate=0.01).fit(x, y)
    (weight, bias), (vectors, last) = plain.layers_
    plain.layers_ = [(weight[:, :8], bias[:8]), (vectors[:8], last)]
    assert nested.narrowed(16).score(*test) > plain.score(*test) + 0.05
