"""Retrieval against scikit-learn and plain loops; losses against naive twins; what the readout learns."""

from typing import Any

import naive
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import average_precision_score

from neurosim.errors import ExperimentError, ShapeError
from neurosim.readout.contrastive import ContrastiveConfig, ContrastiveReadout, Recordings
from neurosim.readout.retrieval import retrieval_matrix, score_retrieval

LOSSES = ("clip", "infonce", "supervised", "hinge", "hinge_hard")
CLASSES = 5


def recordings(n: int, width: int, seed: int, sense: int) -> Recordings:
    """Spike counts of ``CLASSES`` noisy prototypes of one sense."""
    means = np.random.default_rng(sense).normal(0, 1, (CLASSES, width))
    random = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    x = random.poisson(np.exp(means[y] + 0.3 * random.standard_normal((n, width))))
    return Recordings(x.astype(np.uint16), y)


def pair(n_a: int, n_b: int, seed: int) -> tuple[Recordings, Recordings]:
    return recordings(n_a, 20, seed, 1), recordings(n_b, 30, seed + 1, 2)


def test_recall_and_precision_are_those_of_scikit_learn_and_a_loop() -> None:
    random = np.random.default_rng(0)
    similarity = random.standard_normal((40, 60))
    query, target = random.integers(0, 4, 40), random.integers(0, 4, 60)
    scores = score_retrieval(similarity, query, target)
    rank = [np.argsort(-row) for row in similarity]
    assert scores.recall_1 == np.mean([target[r[0]] == q for r, q in zip(rank, query, strict=True)])
    assert scores.recall_5 == np.mean([q in target[r[:5]] for r, q in zip(rank, query, strict=True)])
    precision = [average_precision_score(target == q, s) for q, s in zip(query, similarity, strict=True)]
    assert scores.mean_precision == pytest.approx(np.mean(precision))


def test_a_query_without_a_target_is_refused() -> None:
    with pytest.raises(ShapeError, match="no target of class 2"):
        score_retrieval(np.zeros((2, 2)), np.array([0, 2]), np.array([0, 1]))
    with pytest.raises(ShapeError, match="give one row for each query"):
        score_retrieval(np.zeros((2, 3)), np.array([0, 1]), np.array([0, 1]))


def test_retrieval_matrix_counts_query_rows_and_target_columns() -> None:
    counts = retrieval_matrix(np.array([0, 0, 1, 2]), np.array([0, 2, 1, 2]), 3)
    assert counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_equal_their_loops(loss: Any) -> None:
    import torch

    from neurosim.readout.contrastive_training import contrastive_loss

    random = np.random.default_rng(3)
    a, b = random.standard_normal((2, 2, 6, 4))
    y = random.integers(0, 3, (2, 6))
    config = ContrastiveConfig(loss=loss, temperature=0.7, margin=0.5)
    got = contrastive_loss(config, *map(torch.from_numpy, (a, b, y)))
    for s in range(2):
        assert float(got[s]) == pytest.approx(naive.contrastive_loss(loss, a[s], b[s], y[s], 0.7, 0.5))


@pytest.mark.parametrize("loss", LOSSES)
def test_seen_classes_are_retrieved_both_ways(loss: Any) -> None:
    config = ContrastiveConfig(loss=loss, width=16, epochs=40, batch_size=20)
    if loss == "clip":  # its targets need similarities that are not bounded by 1
        config = config.model_copy(update={"similarity": "dot", "temperature": 1.0})
    a, b = pair(200, 150, 10)
    readout = ContrastiveReadout(config).fit(a.x, b.x, a.y, b.y)
    test_a, test_b = pair(100, 80, 20)
    scores = readout.evaluate(test_a.x, test_b.x, test_a.y, test_b.y)
    assert scores["a_to_b"].recall_1 > 0.8
    assert scores["b_to_a"].recall_1 > 0.8
    assert scores["a_to_b"].recall_5 >= scores["a_to_b"].recall_1
    assert readout.score(test_a.x, test_b.x, test_a.y, test_b.y) == scores["a_to_b"].recall_1


def test_labels_without_meaning_leave_chance() -> None:
    a, b = pair(200, 200, 10)
    wrong = np.random.default_rng(0).permutation(b.y)
    readout = ContrastiveReadout(ContrastiveConfig(width=16, epochs=10)).fit(a.x, b.x, a.y, wrong)
    test_a, test_b = pair(200, 200, 20)
    assert readout.score(test_a.x, test_b.x, test_a.y, test_b.y) < 0.6


def test_pairs_without_second_labels_are_the_rows() -> None:
    a, b = pair(200, 200, 10)
    readout = ContrastiveReadout(ContrastiveConfig(loss="infonce", width=16, epochs=20, batch_size=20))
    rows = readout.fit(a.x, b.x, a.y)
    assert rows.score(a.x, b.x, a.y, b.y) > 0.7


def test_the_same_seed_trains_the_same_and_another_does_not() -> None:
    a, b = pair(100, 100, 1)
    config = ContrastiveConfig(width=8, epochs=2, batch_size=50)
    fits = [ContrastiveReadout(config, random_state=s).fit(a.x, b.x, a.y, b.y) for s in (0, 0, 1)]
    weights = [fit.arrays()["a.w1"] for fit in fits]
    assert_array_equal(weights[0], weights[1])
    assert abs(weights[0] - weights[2]).max() > 1e-3


@pytest.mark.parametrize("heads", [{}, {"residual": True, "layer_norm": True, "activation": "none"}])
def test_projections_in_numpy_are_those_that_validation_scored_in_torch(heads: dict[str, Any]) -> None:
    a, b = pair(200, 150, 10)
    held_a, held_b = pair(60, 60, 30)
    config = ContrastiveConfig(width=8, epochs=3, batch_size=50, dropout=0.2, **heads)
    readout = ContrastiveReadout(config)
    readout.fit(a.x, b.x, a.y, b.y, validation=(held_a.x, held_b.x, held_a.y, held_b.y))
    assert readout.validation_score_ == readout.score(held_a.x, held_b.x, held_a.y, held_b.y)
    assert readout.chosen_["epochs"] <= 3


def test_tasks_side_by_side_do_not_feel_each_other() -> None:
    from neurosim.readout.contrastive_training import Task, train_side_by_side

    sides, held = pair(100, 100, 1), pair(50, 50, 5)
    config = ContrastiveConfig(width=8, epochs=4, batch_size=20, dropout=0.1)
    tasks = [Task(np.array([0, 1, 2]), 3), Task(np.array([2, 3, 4]), 4)]
    together = train_side_by_side(config, sides, held, tasks)
    for task, one in zip(tasks, together, strict=True):
        (alone,) = train_side_by_side(config, sides, held, [task])
        assert alone.epoch == one.epoch
        assert_allclose(alone.a.weights["w1"], one.a.weights["w1"], rtol=1e-3, atol=1e-5)


def test_epochs_of_a_task_end_with_its_own_patience() -> None:
    from neurosim.readout.contrastive_training import Task, train_side_by_side

    sides, held = pair(100, 100, 1), pair(50, 50, 5)
    config = ContrastiveConfig(width=8, epochs=30, batch_size=20, patience=2)
    tasks = [Task(np.array([0, 1, 2]), seed) for seed in range(4)]
    together = train_side_by_side(config, sides, held, tasks)
    assert len({one.epochs for one in together}) > 1
    for one in together:
        assert one.epochs == min(30, one.epoch + 2)


def test_a_task_never_sees_the_other_classes() -> None:
    from neurosim.readout.contrastive_training import Task, train_side_by_side

    (a, b), held = pair(100, 100, 1), pair(50, 50, 5)
    config = ContrastiveConfig(width=8, epochs=3, batch_size=20)
    task = [Task(np.array([0, 1, 2]), 3)]
    (clean,) = train_side_by_side(config, (a, b), held, task)
    unseen = a.y > 2
    spoilt = Recordings(np.where(unseen[:, None], 999, a.x).astype(np.uint16), a.y)
    (same,) = train_side_by_side(config, (spoilt, b), held, task)
    assert_array_equal(clean.a.weights["w1"], same.a.weights["w1"])
    assert_array_equal(clean.a.scaling.mean, same.a.scaling.mean)


def test_arrays_make_the_projection_again() -> None:
    a, b = pair(100, 100, 1)
    config = ContrastiveConfig(width=8, epochs=2, activation="none", scaling="standard")
    readout = ContrastiveReadout(config).fit(a.x, b.x, a.y, b.y)
    w = readout.arrays()
    e = (a.x - w["a.mean"]) / w["a.scale"] @ w["a.w1"] + w["a.b1"]
    assert_allclose(e / np.linalg.norm(e, axis=1)[:, None], readout.transform_a(a.x), rtol=1e-4, atol=1e-5)


def test_classes_and_shapes_that_do_not_fit_are_refused() -> None:
    a, b = pair(20, 20, 1)
    with pytest.raises(ShapeError, match="give one label each"):
        ContrastiveReadout().fit(a.x, b.x, a.y[:-1], b.y)
    with pytest.raises(ExperimentError, match="class 4 occurs in one sense only"):
        ContrastiveReadout().fit(a.x, b.of([0, 1, 2, 3]).x, a.y, b.of([0, 1, 2, 3]).y)
    with pytest.raises(ExperimentError, match="at least two"):
        ContrastiveReadout().fit(a.of([1]).x, b.of([1]).x, a.of([1]).y, b.of([1]).y)
    few, held = [side.of([0, 1, 2, 3]) for side in (a, b)], (a.x, b.x, a.y, b.y)
    with pytest.raises(ExperimentError, match="validation label 4"):
        ContrastiveReadout().fit(few[0].x, few[1].x, few[0].y, few[1].y, validation=held)
