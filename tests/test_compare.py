"""A comparison from its TOML to its result: what is fitted, on what, and what is made of it."""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.ndimage import gaussian_gradient_magnitude

from neurosim.baselines import BASELINES, baseline_class, make_baseline
from neurosim.cards import shipped_folder
from neurosim.errors import BaselineError, ExperimentError, MissingExtraError
from neurosim.events import idx
from neurosim.events.types import Binned, Sensor
from neurosim.study.compare import evaluate as fits
from neurosim.study.compare.check import check
from neurosim.study.compare.collect import Done, choose
from neurosim.study.compare.page import write_page
from neurosim.study.compare.plan import Fit, Task, finals, proposal, space, task_of, trials
from neurosim.study.compare.recordings import Recordings, counts, frames, replace_events
from neurosim.study.compare.results import Comparison
from neurosim.study.compare.run import FILES, run_compare
from neurosim.study.compare.statistics import corrected, paired
from neurosim.study.config import StudyConfig, load_study
from neurosim.study.points import at
from neurosim.study.storage import folder_url, join_study, open_study
from neurosim.study.worker import join

STUDY = """
schema = "neurosim.study/1"
name = "small"
base = "demo"
[set]
data.train.n = 60
data.validation.n = 30
data.test.n = 40
events.n_steps = 10
reservoir.n_patches = 4
[compare]
models = ["liquid", "logistic", "mlp", "hqnn_parallel"]
inputs = "images"
seeds = [0, 1]
n_trials = 3
sizes = [30]
variants = ["full", "deleted"]
training = { epochs = 1 }
references.mlp = { hidden = [2, 4] }
[compare.model.logistic]
inputs = "events"
"""
FAKE = "fake_fits:evaluate"


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find the fakes, and nobody draws figures."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr("neurosim.study.compare.run.write_page", lambda _r, path: path.write_text("a page"))


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    file = tmp_path / "small.toml"
    file.write_text(STUDY)
    return file


@pytest.fixture
def small(toml: Path) -> StudyConfig:
    return load_study(toml)


def compared(config: StudyConfig, folder: Path, evaluate: str = FAKE, jobs: int = 1) -> Comparison:
    return run_compare(config, folder, jobs=jobs, evaluate=evaluate)


# ---- what is fitted ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compare.models=['liquid','cnnn']", "no baseline 'cnnn'; did you mean 'cnn'"),
        ("compare.models=['mlp','mlp']", "models: one stands there twice"),
        ("compare.models=['liquid','mlp']", "model.logistic: not among models"),
        ("compare.against='lstm'", "against: 'lstm'"),
        ("compare.references.liquid.hidden=[1]", "references.liquid: not a network among models"),
        ("compare.references.mlp.dropout=[0.1]", "references.mlp: give every key as many values"),
        ("compare.robustness.attack=[1.5]", "attack"),
        ("compare.model.liquid.set.events.n_steps=5", "model.liquid: events.n_steps: all read the same"),
        ("compare.seeds=[]", "seeds"),
    ],
)
def test_what_is_refused(toml: Path, override: str, message: str) -> None:
    with pytest.raises(ExperimentError) as why:
        load_study(toml, [override])
    assert message in str(why.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compare.model.mlp.set.hiden=[3]", "compare, mlp: baseline mlp: hiden: unknown key"),
        ("compare.model.mlp.set.hidden.width=3", "compare, mlp: baseline mlp: hidden"),
        ("compare.model.mlp.set.hidden=[-1]", "compare, mlp: baseline mlp: hidden"),
        ("compare.model.cnn.set.channels=[0,4]", "compare, cnn: baseline cnn: channels"),
        ("compare.model.mlp.space.hiden=[3,4]", "compare.model.mlp.space: no value fits:"),
        ("compare.model.mlp.space.training.epochs=[-1,0]", "training.epochs"),
        ("compare.model.liquid.set.reservoir.betta=0.5", "reservoir.betta: unknown key"),
        ("compare.training.epoch=3", "training.epoch: unknown key"),
        ("compare.references.hqnn_parallel.angles=[4]", "references.hqnn_parallel: a hybrid is no plain"),
        ("compare.references.mlp.hidden=[4,4]", "'mlp 4' stands in the table 2 times"),
        ("compare.variants=['deleted','deleted']", "'hqnn_parallel, deleted' stands in the table 2 times"),
        ("compare.references.mlp={hiden=[4]}", "compare, mlp 4: baseline mlp: hiden"),
        ("compare.model.gru={inputs='states'}", "it reads sequences, and states of a liquid are vectors"),
    ],
)
def test_what_is_refused_before_anything_is_fitted(
    toml: Path, tmp_path: Path, override: str, message: str
) -> None:
    models = "compare.models=['liquid','logistic','mlp','hqnn_parallel','gru','cnn']"
    with pytest.raises(ExperimentError) as why:
        compared(load_study(toml, [models, override]), tmp_path / "run", "fake_fits:never")
    assert message in str(why.value)
    assert not (tmp_path / "run").exists()


def test_one_end_of_a_space_may_fail(toml: Path, tmp_path: Path) -> None:
    models = "compare.models=['logistic','mlp']"
    study = load_study(toml, [models, "compare.model.mlp.space.training.epochs=[-1,4]"])
    assert study.compare
    check(study.compare, study.base)


def test_a_missing_package_is_said_at_once(
    toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "reservoirpy.nodes", None)
    with pytest.raises(MissingExtraError, match="ReservoirPy"):
        compared(load_study(toml, ["compare.models=['mlp','logistic','esn']"]), tmp_path)


def test_images_are_looked_for_before_anything_is_fitted(toml: Path, tmp_path: Path) -> None:
    pen = [
        f"data.{part}={{dataset='handwriting-simulated',split='{split}',n=20}}"
        for part, split in (("train", "train"), ("test", "test"))
    ]
    toml.write_text(STUDY.replace("data.validation.n = 30\n", ""))
    with pytest.raises(ExperimentError, match="its recordings are not made of images"):
        compared(load_study(toml, pen), tmp_path / "run", "fake_fits:never")


def test_every_model_has_as_many_trials_on_the_validation_part(small: StudyConfig) -> None:
    assert small.compare
    planned = trials(small.compare)
    assert [fit.model for fit in planned[:4]] == list(small.compare.models)
    assert [fit.trial for fit in planned[::4]] == [0, 1, 2]
    assert not trials(small.compare.model_copy(update={"n_trials": 1}))
    assert [stage.name for stage in small.stages] == ["small-trials", "small"]


def test_variants_sizes_and_references_are_fitted_with_what_was_chosen(
    small: StudyConfig,
) -> None:
    assert small.compare
    chosen = {"mlp": {"training.learning_rate": 0.002}}
    planned = finals(small.compare, chosen)
    whole = [fit for fit in planned if fit.whole]
    assert [fit.contestant for fit in whole[::2]] == [
        "liquid", "logistic", "mlp", "hqnn_parallel", "hqnn_parallel, deleted", "mlp 2", "mlp 4",
    ]  # fmt: skip
    assert {fit.inputs for fit in planned if fit.model in ("liquid", "logistic")} == {"events"}
    assert {fit.inputs for fit in planned if fit.model not in ("liquid", "logistic")} == {"images"}
    assert whole[-1].set == {"training.learning_rate": 0.002, "hidden": 4}
    curve = [fit for fit in planned if not fit.whole]
    assert {(fit.contestant, fit.n_train) for fit in curve} == {
        (name, 30) for name in ("liquid", "logistic", "mlp", "hqnn_parallel")
    }
    assert len({fit.point(0).key for fit in planned}) == len(planned)


@pytest.mark.parametrize("name", BASELINES)
def test_what_a_baseline_says_may_be_tuned_is_a_key_of_it(name: str, small: StudyConfig) -> None:
    assert small.compare
    compare = small.compare.model_copy(update={"models": (name,), "model": {}, "references": {}})
    knobs = space(compare, name, small.base)
    assert knobs.keys() == {key for key, *_ in baseline_class(name).tuned} != set()
    ends = ({key: knob.low for key, knob in knobs.items()}, {key: knob.high for key, knob in knobs.items()})
    for some in ends:  # type: ignore[union-attr]
        make_baseline(name, fits.settings(Fit(name, name, name, "events", 0, some), compare))


def test_proposals_are_in_the_space_and_the_same_whoever_asks(small: StudyConfig) -> None:
    assert small.compare
    fit = Fit("mlp", "mlp", "mlp", "images", 0, trial=2)
    knobs = space(small.compare, "mlp", small.base)
    found = [proposal(fit, knobs, [], seed=0) for _ in range(2)]
    assert found[0] == found[1] != proposal(fit, knobs, [], seed=1)
    assert 3e-4 <= found[0]["training.learning_rate"] <= 1e-2
    first = task_of(small.compare, small.base, {**fit.point(0).overrides, "trial": 0}, [])
    assert first.fit.set == {}
    liquid = space(small.compare, "liquid", small.base)
    assert liquid.keys() == {"reservoir.beta", "reservoir.homeostasis.rate_target"}


def test_what_is_set_is_not_searched_by_default(toml: Path) -> None:
    fixed = ["compare.model.liquid.set.reservoir.beta=0.7", "compare.model.logistic.set.weight_decay=0.01"]
    config = load_study(toml, fixed)
    assert config.compare
    assert space(config.compare, "liquid", config.base).keys() == {"reservoir.homeostasis.rate_target"}
    assert not space(config.compare, "logistic", config.base)


def test_of_equal_trials_the_first_is_chosen() -> None:
    def done(trial: int, accuracy: float | None) -> Done:
        row = None if accuracy is None else {"accuracy": accuracy, "set": {"k": trial}}
        return Done(Fit("knn", "knn", "knn", "images", 0, trial=trial), row)

    assert choose([done(0, 0.5), done(1, None), done(2, 0.7), done(3, 0.7)]) == {"knn": {"k": 2}}


# ---- recordings --------------------------------------------------------------------------------------


def noise(n: int, n_steps: int, sensor: Sensor, density: float, seed: int = 0) -> Binned:
    dense = np.random.default_rng(seed).random((n, n_steps, sensor.n_channels)) < density
    ptr = np.cumsum([0, *dense.sum(2).ravel()])
    steps = np.column_stack([ptr[:-1].reshape(n, n_steps), ptr[n_steps::n_steps]])
    channels = np.nonzero(dense)[2].astype(np.uint16)
    return Binned(channels, steps, np.arange(n) % 3, sensor, 1e-3, ("a", "b", "c"), 1)


def test_views_are_those_of_dense_frames(small: StudyConfig) -> None:
    sensor = Sensor(3, 2, 2)
    binned = noise(7, 5, sensor, 0.3)
    dense = frames(binned)
    assert dense.shape == (7, 5, 12)
    assert len(binned.channels) == dense.sum()
    assert_array_equal(counts(binned), dense.sum(1))
    assert_array_equal(counts(binned[2:4]), dense[2:4].sum(1))


def test_replaced_events_are_as_many_and_fall_anywhere() -> None:
    sensor = Sensor(20, 20)
    binned = noise(40, 20, sensor, 0.05)
    before, share = frames(binned).astype(bool), 0.3
    after = frames(replace_events(binned, share, np.random.default_rng(1))).astype(bool)
    lost, new = before & ~after, after & ~before
    n = before.sum()
    # a lost event's place is hit again with probability 0.3 x 0.05, a new one falls on an old one with 0.035
    assert lost.sum() / n == pytest.approx(share * (1 - 0.015), abs=4 * np.sqrt(share * 0.7 / n))
    assert new.sum() / n == pytest.approx(share * (1 - 0.05), abs=4 * np.sqrt(share / n))
    assert stats.chisquare(new.sum((0, 1))).pvalue > 1e-3  # every channel alike
    assert stats.chisquare(new.sum((0, 2))).pvalue > 1e-3  # every step
    unchanged = replace_events(binned, 1e-12, np.random.default_rng(1))
    assert_array_equal(frames(unchanged), frames(binned))
    assert_array_equal(unchanged.ptr, binned.ptr)


def test_fewer_recordings_are_nested_and_even_over_the_classes(small: StudyConfig) -> None:
    recordings = fits._load(small.base, None)
    ten, thirty = (recordings.fewer(n, seed=3) for n in (10, 30))
    assert ten.rows is not None
    assert thirty.rows is not None
    assert set(ten.rows) < set(thirty.rows)
    assert_array_equal(np.bincount(thirty.labels("train")), [3] * 10)
    assert recordings.fewer(None, 3) is recordings.fewer(60, 3) is recordings
    assert ten.prepared.content != thirty.prepared.content
    assert not np.array_equal(recordings.fewer(10, seed=4).rows, ten.rows)  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match="9 training recordings are too few for 10 classes"):
        recordings.fewer(9, seed=3)


def test_images_are_those_that_the_recordings_were_made_of(small: StudyConfig) -> None:
    recordings = fits._load(small.base, None)
    folder = shipped_folder("datasets") / "samples/mnist"
    everything = idx.read_images(folder / "train-images-idx3-ubyte.xz")
    images = recordings.view("train", "image", "images")
    assert images.shape == (60, 28, 28)
    assert all((everything == image).all((1, 2)).any() for image in images)
    # a camera that is moved over an image sees events at its edges
    seen = recordings.view("train", "image", "events")
    assert seen.max() == 1
    edges = [gaussian_gradient_magnitude(np.pad(image.astype(float), 3), 1.0).ravel() for image in images]
    likeness = np.corrcoef(seen.reshape(60, -1), edges)[:60, 60:]
    assert (likeness.argmax(1) == np.arange(60)).mean() > 0.6  # 1 / 60 by chance
    some = recordings.fewer(20, 0)
    assert_array_equal(some.view("train", "image", "images"), images[some.rows])


def test_images_of_real_recordings_are_refused(small: StudyConfig, real_data: Path) -> None:
    part = small.base.data.test.model_copy(update={"dataset": "nmnist", "split": "all", "n": 10})
    data = small.base.data.model_copy(update={"test": part})
    recordings = fits._load(small.base.model_copy(update={"data": data}), real_data)
    with pytest.raises(ExperimentError, match=r"not made of images; take inputs = 'events'"):
        recordings.view("test", "image", "images")


# ---- statistics --------------------------------------------------------------------------------------


def test_one_seed_is_the_paired_t_test_over_recordings() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.random((2, 1, 200)) < [[[0.8]], [[0.7]]]
    ours, theirs = paired("b", a, b), stats.ttest_rel(a[0].astype(float), b[0].astype(float))
    assert ours.p == pytest.approx(theirs.pvalue)
    assert_allclose(ours.ci95, theirs.confidence_interval())
    assert ours.difference == pytest.approx(a.mean() - b.mean())


def test_seeds_alone_are_the_paired_t_test_over_seeds() -> None:
    a = np.repeat([[1], [0], [1], [1], [0]], 40, 1)  # all recordings alike: only the seeds scatter
    b = np.zeros_like(a)
    theirs = stats.ttest_rel(a[:, 0].astype(float), b[:, 0].astype(float))
    assert paired("b", a, b).p == pytest.approx(theirs.pvalue)


def test_equal_models_are_rarely_told_apart() -> None:
    """Both recordings and seeds have effects of their own; the test holds its level."""
    draw = np.random.default_rng(0)
    alarms = 0
    for _ in range(400):
        hard = draw.normal(0.8, 0.3, 150)
        a, b = (draw.random((4, 150)) < hard + draw.normal(0, 0.05, (4, 1)) for _ in range(2))
        alarms += paired("b", a, b).p < 0.05
    assert alarms <= stats.binom.ppf(0.999, 400, 0.05)


def test_the_same_answers_differ_by_nothing() -> None:
    a = np.random.default_rng(0).random((3, 50)) < 0.5
    same = paired("a", a, a)
    assert (same.difference, same.ci95, same.p) == (0, (0, 0), 1)


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    p = np.random.default_rng(0).random(6) ** 3
    closed = [
        max(
            min(1, len(family) * p[list(family)].min())
            for k in range(1, 7)
            for family in itertools.combinations(range(6), k)
            if i in family
        )
        for i in range(6)
    ]
    assert_allclose(corrected(p), closed)
    assert len(corrected([])) == 0


# ---- from the study to its files ---------------------------------------------------------------------


def test_a_comparison_leaves_its_files(small: StudyConfig, tmp_path: Path) -> None:
    result = compared(small, tmp_path)
    assert all((tmp_path / name).is_file() for name in FILES)
    assert load_study(tmp_path / "study.toml") == small
    assert [one.name for one in result.contestants][:3] == ["liquid", "logistic", "mlp"]
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["schema"] == "neurosim.comparison/1"
    assert saved["contestants"][0]["accuracy"]["per_chip"] == list(result.contestants[0].accuracy.per_chip)
    by_name = {one.name: one for one in result.contestants}
    liquid, mlp, hybrid = (by_name[name] for name in ("liquid", "mlp", "hqnn_parallel"))
    assert (liquid.kind, mlp.kind, hybrid.kind) == ("liquid", "classical", "quantum")
    assert (by_name["mlp 2"].kind, result.against) == ("reference", "liquid")
    assert liquid.against is None
    assert mlp.against
    assert mlp.against.other == "liquid"
    assert mlp.against.difference == pytest.approx(mlp.accuracy.mean - liquid.accuracy.mean)
    assert mlp.against.p_corrected >= mlp.against.p
    assert [n for n, _ in hybrid.curve] == [30, 1000]
    assert len(mlp.trials) == 3
    best = max(mlp.trials, key=lambda trial: trial[1])
    assert mlp.chosen == best[0]
    # of the plain networks with at most 100 parameters, mlp is the best on the validation part
    assert hybrid.same_parameters
    assert hybrid.same_parameters.other == "mlp"
    assert by_name["mlp 4"].same_parameters
    assert by_name["mlp 4"].same_parameters.other == "mlp 2"
    assert by_name["mlp 2"].same_parameters is None
    assert hybrid.robustness["PGD 0.1"].mean == 0.25


def test_a_head_on_the_liquid_is_no_plain_network_for_others(toml: Path, tmp_path: Path) -> None:
    text = STUDY.replace('"mlp", "hqnn_parallel"]', '"mlp", "hqnn_parallel", "head", "q_head"]')
    states = 'inputs = "states"'
    heads = f'[compare.model.head]\nbaseline = "mlp"\n{states}\n[compare.model.q_head]\n{states}\n'
    toml.write_text(f'{text}{heads}baseline = "hqnn_parallel"\n')
    by_name = {one.name: one for one in compared(load_study(toml), tmp_path).contestants}
    assert by_name["head"].validation_accuracy >= by_name["mlp"].validation_accuracy
    rivals = {
        name: one.same_operations.other for name, one in by_name.items() if one.same_operations is not None
    }
    assert rivals.pop("q_head") == rivals.pop("q_head, deleted") == "head"
    assert "head" not in rivals.values()
    assert rivals["hqnn_parallel"] == "mlp"


def test_another_liquid_on_the_same_recordings_is_another_one(small: StudyConfig) -> None:
    first = fits._load(small.base, None)
    other = at(small.base, {"reservoir.n_patches": 2})
    second = fits._load(other, None)
    assert second.prepared is first.prepared
    assert second.experiment == other


def test_the_same_command_adds_only_what_is_missing(toml: Path, tmp_path: Path) -> None:
    before = compared(load_study(toml), tmp_path)
    again = compared(load_study(toml), tmp_path, "fake_fits:never")
    assert again.to_json() == before.to_json()
    more = compared(load_study(toml, ["compare.seeds=[0,1,2]"]), tmp_path)
    assert [one.accuracy.per_chip[:2] for one in more.contestants] == [
        one.accuracy.per_chip for one in before.contestants
    ]
    assert len(more.contestants[0].accuracy.per_chip) == 3
    for change in ("data.test.n=50", "compare.training.epochs=2"):
        with pytest.raises(ExperimentError, match="its base experiment, training or robustness differs"):
            compared(load_study(toml, [change]), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(json.dumps(more.to_json()))


def test_another_choice_of_settings_makes_other_fits(toml: Path, tmp_path: Path) -> None:
    compared(load_study(toml), tmp_path)
    more = compared(load_study(toml, ["compare.n_trials=6"]), tmp_path)
    assert (more.waiting, more.n_trials) == (0, 6)
    assert {len(one.trials) for one in more.contestants if one.curve} == {6}


def test_another_space_makes_other_trials(toml: Path, tmp_path: Path) -> None:
    def rates(*overrides: str) -> list[list[float]]:
        result = compared(load_study(toml, overrides), tmp_path)
        tried = {
            one.name: [s.get("training.learning_rate", 0.0) for s, _ in one.trials]
            for one in result.contestants
        }
        return [tried["mlp"], tried["hqnn_parallel"]]

    narrow = "compare.model.mlp.space.training.learning_rate={low=0.01,high=0.02}"
    (wide, hybrid), (mlp, same) = rates(), rates(narrow)
    assert wide[0] == mlp[0] == 0.0
    assert max(wide) < min(mlp[1:])
    assert hybrid == same
    seeded, _ = rates(narrow, "compare.sampler_seed=1")
    assert not {*mlp[1:]} & {*seeded[1:]}
    twelve, _ = rates(narrow, "compare.n_trials=12")  # the last ones know the others, but not the wide ones
    assert len(twelve) == 12
    assert min(twelve[1:]) >= 0.01


def test_sizes_above_all_recordings_are_no_part_of_the_curve(toml: Path, tmp_path: Path) -> None:
    result = compared(load_study(toml, ["compare.sizes=[30,1000,5000]"]), tmp_path)
    assert [n for n, _ in result.contestants[0].curve] == [30, 1000]


def test_interrupted_trials_leave_what_was_tested_before(toml: Path, tmp_path: Path) -> None:
    compared(load_study(toml), tmp_path)
    before = (tmp_path / "result.json").read_text()
    with pytest.raises(KeyboardInterrupt):
        compared(load_study(toml, ["compare.n_trials=5"]), tmp_path, "fake_fits:interrupted")
    assert (tmp_path / "result.json").read_text() == before


def test_an_interrupted_comparison_keeps_what_is_done(small: StudyConfig, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        compared(small, tmp_path, "fake_fits:interrupted")
    saved = json.loads((tmp_path / "result.json").read_text())
    assert saved["waiting"] > 0
    assert compared(small, tmp_path).waiting == 0


def test_a_worker_from_elsewhere_does_trials_and_fits(small: StudyConfig, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        compared(small, tmp_path, "fake_fits:interrupted")
    url = folder_url(tmp_path)
    assert join(small, url, evaluate=FAKE) >= 3  # trials; the fits are not planned yet
    with pytest.raises(KeyboardInterrupt):
        compared(small, tmp_path, "fake_fits:interrupted")
    assert join(small, url, evaluate=FAKE) > 2
    assert compared(small, tmp_path, "fake_fits:never").waiting == 0


def test_workers_leave_fits_of_a_former_choice_alone(toml: Path, tmp_path: Path) -> None:
    models = ["compare.models=['logistic','mlp']", "compare.references={}"]
    before, after = load_study(toml, [*models, "compare.seeds=[0,1,2]"]), load_study(toml, models)
    assert after.compare
    url = folder_url(tmp_path)
    open_study(url, before, [fit.point(0) for fit in finals(before.compare, {})])  # type: ignore[arg-type]
    wanted = [fit.point(0) for fit in finals(after.compare, {})]
    open_study(url, after, wanted)
    assert join(load_study(toml, [*models, "compare.n_trials=1"]), url, evaluate=FAKE) == len(wanted)
    assert len(join_study(url, after).trials()) > len(wanted)


def test_a_fit_that_fails_is_named_and_the_others_go_on(toml: Path, tmp_path: Path) -> None:
    result = compared(load_study(toml, ["compare.variants=['full','frozen']"]), tmp_path)
    assert result.failed == {
        f"hqnn_parallel, frozen, seed {seed}": "RuntimeError: no light" for seed in (0, 1)
    }
    assert "hqnn_parallel, frozen" not in {one.name for one in result.contestants}
    write_page(result, tmp_path / "report.html")
    assert "no light" in (tmp_path / "report.html").read_text()


def test_several_workers_find_the_same(toml: Path, tmp_path: Path) -> None:
    text = STUDY.replace('"liquid", "logistic", "mlp", "hqnn_parallel"', '"logistic", "mlp"')
    toml.write_text(text.replace("n_trials = 3", "n_trials = 2"))
    one, two = (compared(load_study(toml), tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2))
    assert one.to_json() == two.to_json()


@pytest.mark.parametrize("example", ["compare_small", "compare_nmnist", "compare_full"])
def test_examples_are_comparisons(example: str) -> None:
    compare = load_study(example).compare
    assert compare
    for fit in [*trials(compare), *finals(compare, {})]:
        if fit.baseline != "liquid":
            make_baseline(fit.baseline, fits.settings(fit, compare))


def test_compare_small_has_every_baseline() -> None:
    compare = load_study("compare_small").compare
    assert compare
    assert {compare.baseline(name) for name in compare.models} == {*BASELINES, "liquid"}


def test_a_sweep_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"has no \[compare\]"):
        run_compare(load_study("sweep_read_noise"), tmp_path)


# ---- fits --------------------------------------------------------------------------------------------


def task(config: StudyConfig, name: str, **change: Any) -> Task:
    assert config.compare
    (fit, *_) = [fit for fit in finals(config.compare, {}) if fit.contestant == name]
    robustness = {"n": 20, "attack": [0.2], "input_noise": [0.3], "read_noise": [3.0]}
    compare = type(config.compare).model_validate(
        config.compare.model_dump(by_alias=True) | {"robustness": robustness}
    )
    return Task(config.base, compare, Fit(**{**fit.point(0).overrides, **change}))


@pytest.mark.parametrize("name", ["liquid", "mlp", "logistic"])
def test_a_fit_is_tested_and_disturbed(small: StudyConfig, name: str) -> None:
    row = fits.evaluate(task(small, name))
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(row["correct"]), np.uint8), count=row["n_test"])
    assert row["accuracy"] == bits.mean()
    assert (row["n_train"], row["n_validation"], row["n_test"]) == (60, 30, 40)
    if name != "liquid":  # whose reads are others every time
        assert row["robustness"]["clean"] == bits[:20].mean()
    expected = {
        "liquid": {"clean", "input noise 0.3", "read noise 3"},
        "mlp": {"clean", "input noise 0.3", "FGSM 0.2", "PGD 0.2"},
        "logistic": {"clean", "input noise 0.3"},
    }
    assert row["robustness"].keys() == expected[name]
    assert row["operations"] > 0
    assert all(cost["energy"]["total"] > 0 for cost in row["costs"])
    assert fits.evaluate(task(small, name))["correct"] == row["correct"]


def test_a_trial_never_looks_at_the_test_part(small: StudyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    view = Recordings.view
    seen = []

    def watched(self: Recordings, part: Any, *rest: Any) -> Any:
        seen.append(part)
        return view(self, part, *rest)

    monkeypatch.setattr(Recordings, "view", watched)
    row = fits.evaluate(task(small, "logistic", trial=1, whole=False))
    assert row.keys() == {"accuracy", "validation_accuracy", "set", "seconds"}
    assert seen == ["train", "validation"]


def test_a_hybrid_on_a_worse_device_keeps_its_weights(small: StudyConfig) -> None:
    row = fits.evaluate(task(small, "hqnn_parallel"))
    assert {"1024 shots", "depolarising 0.01"} < row["robustness"].keys()
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 256, (40, 28, 28)).astype(np.uint8), np.arange(40) % 4
    model = make_baseline("hqnn_parallel", {"training": {"epochs": 1}})
    model.fit(x, y)
    exact = model.predict_proba(x)
    assert_allclose(fits.on_device(model, {}).predict_proba(x), exact, atol=1e-6)  # type: ignore[arg-type]
    many = fits.on_device(model, {"shots": 100_000}).predict_proba(x)  # type: ignore[arg-type]
    assert 0 < np.abs(many - exact).max() < 0.05
    assert_allclose(model.predict_proba(x), exact)
    with pytest.raises(BaselineError):
        fits.on_device(model, {"shots": 0})  # type: ignore[arg-type]


def test_post_selection_is_noted(toml: Path) -> None:
    toml.write_text(STUDY.replace('"mlp", "hqnn_parallel"]', '"mlp", "hqnn_parallel", "qrnn"]'))
    small = ["compare.model.qrnn.set.components=3", "compare.model.qrnn.set.n_bits=2"]
    row = fits.evaluate(task(load_study(toml, small), "qrnn"))
    assert 0 < row["notes"]["post-selection probability"] <= 1
    deleted = fits.evaluate(task(load_study(toml, small), "qrnn, deleted"))
    assert deleted["notes"].keys() == row["notes"].keys() - {"post-selection probability", "unitarity error"}


def test_a_network_on_liquid_states_pays_for_the_liquid(toml: Path) -> None:
    text = STUDY.replace('models = ["liquid",', 'models = ["on_states", "liquid",')
    toml.write_text(text + '[compare.model.on_states]\nbaseline = "mlp"\ninputs = "states"\n')
    config = load_study(toml)
    row, plain = (fits.evaluate(task(config, name)) for name in ("on_states", "mlp"))
    assert "rram_40nm_256kb" in row["costs"][0]["platform"]
    assert "liquid" in row["costs"][0]["energy"]
    assert "liquid" not in plain["costs"][0]["energy"]
    liquid = fits.evaluate(task(config, "liquid"))
    driven = liquid["operations"] - (liquid["n_parameters"] - 10)  # parameters are weights and 10 biases
    macs = row["costs"][0]["energy"]["classical"] / 1.55e-12
    assert row["operations"] == pytest.approx(driven + macs)
    assert driven > 1000
    assert [cost["which"] for cost in liquid["costs"]] == ["macro", "digital"]
    energy = liquid["costs"][1]["energy"]
    assert energy["projection_mac"] == pytest.approx((liquid["n_parameters"] - 10) * 1.55e-12)
    assert "input noise 0.3" in row["robustness"]
