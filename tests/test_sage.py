"""Novelty is calibrated on ordinary recordings, and rises with what is strange."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from neurosim.errors import ExperimentError
from neurosim.readout.sage import SCORES, SageReadout


def counts(n: int, *, seed: int, drift: float = 0.0, silent: float = 0.0):
    """Spike counts of four classes; rates of neurons drift apart, or a share of them falls silent."""
    rates = 4 * np.exp(0.3 * np.random.default_rng(0).standard_normal((4, 60)))
    rates *= np.exp(drift * np.random.default_rng(9).standard_normal(60))
    random = np.random.default_rng(seed)
    y = random.integers(4, size=n)
    x = random.poisson(rates[y])
    x[:, : int(60 * silent)] = 0
    return x.astype(np.uint8), y


@pytest.fixture(scope="module", params=["mean", "geometric"])
def model(request):
    sage = SageReadout(ensemble=request.param, epochs=15, learning_rate=5e-3)
    return sage.fit(*counts(1500, seed=1), validation=counts(1000, seed=2))


def test_novelty_is_uniform_on_ordinary_recordings(model):
    novelty = model.novelty(counts(1000, seed=3)[0])
    assert 0 <= novelty.min() <= novelty.max() <= 1
    assert stats.kstest(novelty, "uniform").pvalue > 0.01
    assert model.reject(counts(4000, seed=4)[0], 0.1).mean() == pytest.approx(0.1, abs=0.03)


def test_novelty_rises_with_what_is_strange(model):
    ordinary = model.novelty(counts(400, seed=3)[0])
    means = [model.novelty(counts(400, seed=5, drift=drift)[0]).mean() for drift in (0, 0.1, 0.2, 0.4)]
    assert means == sorted(means)
    for strange in (counts(400, seed=5, drift=1.0)[0], counts(400, seed=5, silent=0.6)[0]):
        novelty = np.concatenate([ordinary, model.novelty(strange)])
        assert roc_auc_score(np.repeat([0, 1], 400), novelty) > 0.85


def test_rejecting_the_strange_raises_accuracy(model):
    x, y = counts(1000, seed=3, drift=0.2)
    keep = ~model.reject(x, 0.2)
    assert model.score(x[keep], y[keep]) > model.score(x, y)


def test_the_alarm_is_raised_by_a_drifted_array_and_seldom_by_an_ordinary_one(model):
    assert model.alarm(counts(100, seed=6, drift=0.6)[0]).raised
    raised = [model.alarm(counts(50, seed=seed)[0], level=0.1).raised for seed in range(20, 60)]
    assert sum(raised) <= 14  # 4 are expected, and the calibration has an error of its own
    assert model.alarm(counts(400, seed=6)[0]).novelty == pytest.approx(0.5, abs=0.06)


class Scored(SageReadout):
    """Recordings are their own scores."""

    def scores(self, X):
        return dict(zip(SCORES, X.T, strict=True))


def test_few_calibrating_recordings_do_not_raise_more_alarms():
    random, model, raised = np.random.default_rng(0), Scored(), 0
    for _ in range(600):
        model._calibrate(random.random((40, 3)))
        raised += model.alarm(random.random((300, 3)), level=0.05).raised
    assert 0.02 < raised / 600 < 0.08


def test_scores_are_distance_reconstruction_and_confidence(model):
    x = counts(50, seed=3)[0]
    scores = model.scores(x)
    z = model.scaling_(x)
    hidden = np.maximum(z @ model.layers_[0][0] + model.layers_[0][1], 0)
    train = np.maximum(model.scaling_(counts(1500, seed=1)[0]) @ model.layers_[0][0] + model.layers_[0][1], 0)
    nearest = np.sort(np.linalg.norm(hidden[:, None] - train[None], axis=-1), axis=1)[:, :10]
    np.testing.assert_allclose(scores["distance"], nearest.mean(axis=1), rtol=1e-3)
    error = ((hidden @ model.decoder_[0] + model.decoder_[1] - z) ** 2).mean(axis=1)
    np.testing.assert_allclose(scores["reconstruction"], error, rtol=1e-4)
    np.testing.assert_allclose(scores["confidence"], 1 - model.predict_proba(x).max(axis=1), atol=1e-6)


def test_reconstruction_is_learnt():
    x, y = counts(1500, seed=1)
    errors = [
        SageReadout(reconstruction=weight, epochs=10, learning_rate=5e-3)
        .fit(x, y)
        .scores(x)["reconstruction"]
        for weight in (0.0, 3.0)
    ]
    assert errors[1].mean() < 0.9 * errors[0].mean()


def test_what_is_reconstructed_too_well_is_strange_too(model):
    x = counts(400, seed=3)[0]
    calm = np.round(0.3 * x + 0.7 * counts(1500, seed=1)[0].mean(axis=0)).astype(np.uint8)
    calm_error, error = (model.scores(states)["reconstruction"] for states in (calm, x))
    assert calm_error.max() < error.min()
    novelty = np.concatenate([model.novelty(x), model.novelty(calm)])
    assert roc_auc_score(np.repeat([0, 1], 400), novelty) > 0.9
    assert model.alarm(calm[:50]).raised


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1])
def test_a_level_is_a_share(model, level):
    x = counts(20, seed=3)[0]
    for ask in (model.reject, model.alarm):
        with pytest.raises(ExperimentError, match=r"level \(=.*\) must lie between 0 and 1, e.g. 0.05"):
            ask(x, level)
