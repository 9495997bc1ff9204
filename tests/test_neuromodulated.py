"""Gains and thresholds are all that is trained, and enough to specialise a readout."""

import numpy as np
import pytest

from neurosim.errors import ExperimentError
from neurosim.readout import ReadoutConfig, make_readout
from neurosim.readout.network import LinearReadout, MLPReadout
from neurosim.readout.projection import HypersphericalReadout


def counts(n: int, *, seed: int, broken: float = 0.0):
    """Spike counts of four classes; a share of the 60 neurons has gone wild."""
    rates = 4 * np.exp(0.4 * np.random.default_rng(0).standard_normal((4, 60)))
    random = np.random.default_rng(seed)
    y = random.integers(4, size=n)
    x = random.poisson(rates[y])
    wild = np.arange(60) < 60 * broken
    x[:, wild] = random.poisson(4, (n, wild.sum())) * random.integers(1, 5, (n, wild.sum()))
    return x.astype(np.uint8), y


def neuromodulated(**knobs):
    return make_readout(ReadoutConfig(kind="neuromodulated", **knobs), seed=0)


@pytest.mark.parametrize("hidden", [0, 200])
def test_the_projections_stay_as_they_were_drawn(hidden):
    trained = neuromodulated(hidden=hidden).fit(*counts(600, seed=1))
    drawn = neuromodulated(hidden=hidden, epochs=1).fit(*counts(600, seed=1))
    for ours, theirs in zip(trained.layers_, drawn.layers_, strict=True):
        assert np.array_equal(ours[0], theirs[0])
        assert not ours[1].any()
        assert ours[0].std() == pytest.approx(len(ours[0]) ** -0.5, rel=0.2)
    assert not np.array_equal(trained.gains_, drawn.gains_)
    assert not np.array_equal(trained.thresholds_, drawn.thresholds_)
    assert len(trained.gains_) == len(trained.thresholds_) == (hidden or 60)
    assert trained.score(*counts(400, seed=2)) > 0.7


def test_scores_are_what_the_docstring_says():
    x, y = counts(300, seed=1)
    model = neuromodulated(hidden=50, epochs=5).fit(x.astype(float), y)
    (m, _), (r, _) = model.layers_
    h = model.scaling_(x.astype(float)) @ m
    expected = (model.gains_ * h * (h > model.thresholds_)) @ r
    np.testing.assert_allclose(model.decision_function(x.astype(float)), expected, atol=1e-9)


@pytest.mark.parametrize("kind", [LinearReadout, MLPReadout, HypersphericalReadout])
def test_a_trained_readout_is_specialised_and_itself_left_alone(kind):
    size = {"hidden": 32} if kind is MLPReadout else {}
    base = kind(learning_rate=0.01, **size).fit(*counts(600, seed=1))
    wild, test = counts(600, seed=2, broken=0.4), counts(500, seed=3, broken=0.4)
    before = base.decision_function(test[0])
    model = neuromodulated().modulate(base, *wild)
    assert np.array_equal(base.decision_function(test[0]), before)
    assert all(a is b for a, b in zip(model.layers_, base.layers_, strict=True))
    assert model.scaling_ is base.scaling_
    assert model.gated_layer_ == 0
    assert model.score(*test) > base.score(*test) + 0.02
    # what has gone wild is turned down
    assert np.abs(model.gains_[:24]).mean() < 0.7 * np.abs(model.gains_[24:]).mean()
    assert model.activation == base.activation
    assert model.fit(*counts(100, seed=1)).gated_layer_ == 1


def test_only_the_same_classes_can_be_specialised_to():
    base = LinearReadout().fit(*counts(200, seed=1))
    x, y = counts(200, seed=2)
    with pytest.raises(ExperimentError, match="classes 0, 1 are not those of the readout, 0, 1, 2, 3"):
        neuromodulated().modulate(base, x[y < 2], y[y < 2])
    with pytest.raises(ExperimentError, match="classes 0, 1, 2, 3, 4 are not those of the readout"):
        neuromodulated().modulate(base, x, np.where(np.arange(200) < 20, 4, y))
