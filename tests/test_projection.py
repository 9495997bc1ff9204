"""The projection in integers: the same answers as the floats where they are not close to a tie."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neurosim.errors import ExperimentError
from neurosim.export.projection import Projection, projection_of
from neurosim.readout import ReadoutConfig, make_readout

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 4, 400)
COUNTS = RANDOM.poisson(3 + 4 * (np.arange(12) % 4 == LABELS[:, None])).astype(np.uint8)


def projection(kind: str, scaling: str, bits: int, x: np.ndarray) -> Projection:
    config = ReadoutConfig(kind=kind, scaling=scaling, **({"hidden": 16} if kind == "mlp" else {}))  # type: ignore[arg-type]
    return projection_of(make_readout(config, seed=0).fit(x, LABELS), x, bits=bits)


@pytest.mark.parametrize(
    "knobs",
    [
        {"kind": "svm"},
        {"kind": "hyperspherical", "width": 16, "learning_rate": 0.01},
        {"kind": "sage", "width": 16, "learning_rate": 0.01},
        *(
            {"kind": "nested", "head": head, "width": 16, "learning_rate": 0.01}
            for head in ("linear", "svm", "hyperspherical")
        ),
        {"kind": "homeostatic"},
    ],
)
def test_every_readout_answers_as_it_is_exported(knobs: dict[str, object]) -> None:
    readout = make_readout(ReadoutConfig(**knobs), seed=0).fit(COUNTS, LABELS)  # type: ignore[arg-type]
    found = projection_of(readout, COUNTS, bits=16)
    assert_array_equal(found.predict(COUNTS), readout.predict(COUNTS))
    assert (found.predict_integer(COUNTS) == readout.predict(COUNTS)).mean() > 0.99
    assert readout.score(COUNTS, LABELS) > 0.8


def test_gains_and_thresholds_are_refused() -> None:
    readout = make_readout(ReadoutConfig(kind="neuromodulated", epochs=1), seed=0).fit(COUNTS, LABELS)
    with pytest.raises(ExperimentError, match="no export holds its gains and thresholds"):
        projection_of(readout, COUNTS, bits=16)


@pytest.mark.parametrize("kind", ["ridge", "mlp"])
@pytest.mark.parametrize("scaling", ["none", "standard", "sqrt"])
@pytest.mark.parametrize("states", [COUNTS, (COUNTS / 0.3).astype(np.float32)], ids=["counts", "rates"])
def test_scores_are_those_of_the_floats(kind: str, scaling: str, states: np.ndarray) -> None:
    found = projection(kind, scaling, 16, states)
    scores = found.integer.scores(found.integer.inputs(states)) * found.integer.layers[-1].scale
    wanted = found.scaling(states)
    for i, (weight, bias) in enumerate(found.layers):
        wanted = (np.maximum(wanted, 0) if i else wanted) @ weight + bias
    assert_allclose(scores, wanted, atol=2e-2 * np.abs(wanted).max())
    assert (found.predict_integer(states) == found.predict(states)).mean() > 0.99
    assert (found.predict(states) == LABELS).mean() > 0.8


def test_counts_enter_as_they_are() -> None:
    found = projection("ridge", "standard", 8, COUNTS)
    assert found.integer.unit == 1
    assert_array_equal(found.integer.inputs(COUNTS), COUNTS)
    assert found.integer.layers[0].weight.dtype == np.int8
    assert found.integer.bits == 8


def test_few_bits_cost_answers() -> None:
    full, coarse = (projection("ridge", "standard", bits, COUNTS) for bits in (16, 2))
    assert np.abs(coarse.integer.layers[0].weight).max() == 1
    assert (full.predict_integer(COUNTS) == LABELS).mean() > (coarse.predict_integer(COUNTS) == LABELS).mean()


def test_no_sum_overflows_at_the_largest_states() -> None:
    found = projection("mlp", "standard", 16, COUNTS)
    exact = [[int(n) for n in row] for row in np.full((1, 12), 16 * int(COUNTS.max()))]
    scores = found.integer.scores(np.array(exact))
    for i, layer in enumerate(found.integer.layers):  # the same in Python's numbers without end
        exact = [
            [
                sum(x * int(w) for x, w in zip(row, column, strict=True)) + int(b)
                for column, b in zip(layer.weight.T, layer.bias, strict=True)
            ]
            for row in exact
        ]
        if i + 1 < len(found.integer.layers):
            exact = [[max(y, 0) >> layer.shift for y in row] for row in exact]
    assert scores.tolist() == exact
