"""The homeostatic rule equals its obvious loop; its rates move as the paper says."""

import naive
import numpy as np
import pytest
import torch

from neurosim.readout.homeostatic import Learners


def learners(rates, rules, *, n_features: int, n_classes: int, norm: float, **options):
    n = len(rates)
    return Learners(
        torch.zeros(n, n_classes, n_features, dtype=torch.float64),
        torch.zeros(n, n_classes, dtype=torch.float64),
        torch.tensor(rates, dtype=torch.float64),
        rules,
        norm,
        torch.Generator().manual_seed(5),
        **options,
    )


@pytest.mark.parametrize("whole_batch", [False, True])
def test_rates_and_weights_equal_the_obvious_loop(whole_batch):
    random = np.random.default_rng(0)
    y = random.integers(4, size=400)
    z = random.normal(size=(400, 6)) + 1.5 * np.eye(4, 6)[y]
    rules = ["homeostatic", "constant", "random", "homeostatic", "homeostatic"]
    rates = [0.3, 1.0, 2.0, 4.0, 30.0]
    norm = float((z**2).sum(axis=1).mean())
    ours = learners(rates, rules, n_features=6, n_classes=4, norm=norm, whole_batch=whole_batch)
    trajectory = []
    for i in range(0, 400, 5):
        ours.learn(torch.from_numpy(z[i : i + 5]), torch.from_numpy(y[i : i + 5]))
        trajectory.append(ours.rate.numpy().copy())
    coins = torch.Generator().manual_seed(5)
    dice = np.zeros((5, 80), bool)
    for number in range(5, 80):  # from the first batch after 20 samples on
        dice[:, number] = torch.rand(5, generator=coins).numpy() < 0.5
    expected, weights = naive.homeostatic(
        z, y, rates=rates, rules=rules, batch=5, n_classes=4, norm=norm, dice=dice, whole_batch=whole_batch
    )
    np.testing.assert_allclose(np.transpose(trajectory), expected, rtol=1e-9)
    np.testing.assert_allclose(ours.weight.numpy(), weights[..., :-1], atol=1e-9)
    np.testing.assert_allclose(ours.bias.numpy(), weights[..., -1], atol=1e-9)
    moved = [len(set(row)) > 1 for row in expected]
    assert moved[1] is False
    assert moved[2]
    assert any(moved[k] for k in (0, 3, 4))


def test_labels_of_now_count_for_old_samples_too():
    # two classes, told apart by the sign; after the swap old samples must be judged by their new labels
    z = torch.tensor([[1.0], [-1.0]] * 20, dtype=torch.float64)
    y = torch.tensor([0, 1] * 20)
    ours = learners([1.0], ["constant"], n_features=1, n_classes=2, norm=1.0)
    for _ in range(5):
        assert ours.learn(z, y).shape == (1, 40)
    assert ours.learn(z, y).all()
    swapped = torch.tensor([1, 0])
    assert not ours.learn(z, y, swapped).any()
    for _ in range(20):
        ours.learn(z, y, swapped)
    assert ours.learn(z, y, swapped).all()


def test_a_rate_never_falls_below_its_floor():
    # all of one inhibitory class: whatever is taken in lowers the rate
    z, y = torch.ones(400, 1, dtype=torch.float64), torch.zeros(400, dtype=torch.int64)
    ours = learners([1.0], ["random"], n_features=1, n_classes=2, norm=1.0)
    for i in range(0, 400, 4):
        ours.learn(z[i : i + 4], y[i : i + 4])
    assert ours.rate.tolist() == [1e-8]
