"""The liquid as a step of scikit-learn's pipelines: events in, states out."""

from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline

from neurosim.array import ArrayConfig
from neurosim.device import DeviceConfig
from neurosim.errors import ExperimentError, ShapeError
from neurosim.events.binning import BinningConfig, bin_events
from neurosim.events.types import Events, Sensor
from neurosim.readout import ReadoutConfig, make_readout
from neurosim.reservoir import HomeostasisConfig, LiquidTransformer, ReservoirConfig, StatesConfig, make_chip

EVENTS = BinningConfig(n_steps=20, duration=0.1)
HOMEOSTASIS = HomeostasisConfig(n_iterations=3, rate_target=30.0)
RESERVOIR = ReservoirConfig(n_neurons=40, beta=0.8, homeostasis=HOMEOSTASIS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.fixture(scope="module")
def events() -> Events:
    """Ninety recordings of three classes; each fills another third of the sensor."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat(np.arange(3), 30))
    pairs = []
    for label in labels:
        x, y = random.integers(0, 4, 150) + 4 * label, random.integers(0, 8, 150)
        pairs.append(
            ((y * 12 + x) * 2 + random.integers(0, 2, 150), np.sort(random.integers(0, 100_000, 150)))
        )
    return Events.pack(pairs, labels, Sensor(12, 8, 2), ("a", "b", "c"))


def transformer(**options: Any) -> LiquidTransformer:
    return LiquidTransformer(RESERVOIR, events=EVENTS, **options)


def pipeline() -> Pipeline:
    return Pipeline(
        [("liquid", transformer()), ("readout", make_readout(ReadoutConfig(kind="ridge"), seed=0))]
    )


# ---- states ----------------------------------------------------------------------------------------


def test_states_are_those_of_the_chip(events: Events) -> None:
    binned = bin_events(events, EVENTS)
    device, array = DeviceConfig(card="ideal"), ArrayConfig(macro="ideal")
    chip = make_chip(RESERVOIR, device, array, sensor=binned.sensor, dt=binned.dt, seed=5, number=2)
    chip = chip.calibrated(binned)
    expected = chip.states(binned, chip.reads(RESERVOIR.n_reads), use="transform").x
    liquid = transformer(device=device, array=array, seed=5, chip=2).fit(events)
    assert_array_equal(liquid.transform(events), expected)
    assert expected.any()
    assert_array_equal(liquid.chip_.liquid.threshold, chip.liquid.threshold)


def test_defaults_are_those_of_the_configs(events: Events) -> None:
    given = LiquidTransformer(RESERVOIR, events=BinningConfig(), device=DeviceConfig(), array=ArrayConfig())
    assert_array_equal(LiquidTransformer(RESERVOIR).fit_transform(events), given.fit_transform(events))


def test_labels_are_not_looked_at(events: Events) -> None:
    without = transformer().fit(events).transform(events)
    assert_array_equal(transformer().fit_transform(events, events.labels), without)


@pytest.mark.parametrize("change", [{"seed": 1}, {"chip": 1}, {"device": DeviceConfig(card="ideal")}])
def test_every_argument_counts(events: Events, change: dict[str, Any]) -> None:
    assert (transformer(**change).fit_transform(events) != transformer().fit_transform(events)).any()


def test_transform_is_repeatable(events: Events) -> None:
    liquid = transformer().fit(events)
    assert_array_equal(liquid.transform(events), liquid.transform(events))


def test_engines_agree(events: Events) -> None:
    ours, theirs = (transformer(engine=engine).fit_transform(events[:10]) for engine in ("numba", "snntorch"))
    assert_array_equal(ours, theirs)


def test_fewer_recordings_than_reads(events: Events) -> None:
    liquid = transformer().fit(events)
    assert liquid.transform(events[:1]).shape == (1, 40)


# ---- scikit-learn ----------------------------------------------------------------------------------


def test_pipeline_learns_and_generalises(events: Events) -> None:
    train, test = train_test_split(events, test_size=30, stratify=events.labels, random_state=0)
    assert (type(train), len(train), len(test)) == (Events, 60, 30)
    fitted = pipeline().fit(train, train.labels)
    assert fitted.score(test, test.labels) > 0.8
    assert_array_equal(clone(fitted).fit(train, train.labels).predict(test), fitted.predict(test))


def test_cross_validation(events: Events) -> None:
    scores = cross_val_score(pipeline(), events, events.labels, cv=3)
    assert scores.min() > 0.6


def test_grid_search_over_configs(events: Events) -> None:
    grid = {
        "liquid__reservoir": [RESERVOIR, RESERVOIR.model_copy(update={"states": StatesConfig(n_segments=2)})],
        "liquid__chip": [0, 1],
    }
    search = GridSearchCV(pipeline(), grid, cv=2).fit(events, events.labels)
    assert search.best_params_.keys() == grid.keys()
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_["liquid"].chip_.number == search.best_params_["liquid__chip"]


def test_clone_and_parameters(events: Events) -> None:
    liquid = transformer(seed=4, chip=1).fit(events)
    copy = clone(liquid)
    assert copy.get_params() == liquid.get_params()
    assert set(copy.get_params()) == {"reservoir", "events", "device", "array", "seed", "chip", "engine"}
    assert not hasattr(copy, "chip_")
    assert copy.set_params(seed=5).seed == 5
    assert "LiquidTransformer" in repr(make_pipeline(copy))


# ---- refusals --------------------------------------------------------------------------------------


def test_not_fitted(events: Events) -> None:
    with pytest.raises(NotFittedError, match="LiquidTransformer instance is not fitted"):
        transformer().transform(events)


def test_recordings_of_another_sensor(events: Events) -> None:
    other = Events.pack([(np.array([0]), np.array([0]))], [0], Sensor(3), ("a",))
    with pytest.raises(ShapeError, match="recordings have 3 channels, the liquid 192"):
        transformer().fit(events).transform(other)


def test_unknown_engine(events: Events) -> None:
    with pytest.raises(ExperimentError, match="unknown engine 'brain2'; did you mean 'brian2'"):
        transformer(engine="brain2").fit(events).transform(events)


def test_no_recording(events: Events) -> None:
    with pytest.raises(ShapeError, match="there is no recording to bin"):
        transformer().fit(events[:0])
