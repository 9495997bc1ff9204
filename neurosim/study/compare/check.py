"""What of a comparison can be found wrong before anything is trained."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from neurosim.baselines import make_baseline
from neurosim.errors import DataNotFoundError, ExperimentError, MissingExtraError, NeurosimError
from neurosim.events import parts
from neurosim.experiment import Experiment
from neurosim.study.compare.config import LIQUID, CompareConfig
from neurosim.study.compare.evaluate import settings
from neurosim.study.compare.plan import Fit, finals, space
from neurosim.study.points import at
from neurosim.study.search import Knob


def check(config: CompareConfig, base: Experiment, data_dir: Path | None = None) -> None:
    """Make every model once as it stands, and with every end of its space; look for the images it reads.

    Ends that fit only with some values of other keys are no error, as long as another end of their key fits.
    Data that are not here may be where the workers are.

    Raises:
        ExperimentError: If a key or value of a model is wrong, it has no such inputs, a reference is no plain
            network, or two contestants have one name.
        MissingExtraError: If a model needs a package that is not installed.
    """
    fits = [fit for fit in finals(config, {}) if fit.whole and fit.seed == config.seeds[0]]
    (name, n), *_ = Counter(fit.contestant for fit in fits).most_common(1)
    if n > 1:
        raise ExperimentError(f"compare: '{name}' stands in the table {n} times; remove or rename it")
    for fit in fits:
        if fit.reference and fit.variant:
            raise ExperimentError(f"compare.references.{fit.model}: a hybrid is no plain network; remove it")
        if wrong := _wrong(fit, config, base):
            raise ExperimentError(f"compare, {fit.contestant}: {wrong}")
        if fit.contestant == fit.model and config.n_trials > 1:
            for key, knob in space(config, fit.model, base).items():
                values = (knob.low, knob.high) if isinstance(knob, Knob) else knob
                wrongs = [_wrong(replace(fit, set={**fit.set, key: value}), config, base) for value in values]
                if all(wrongs):
                    raise ExperimentError(f"compare.model.{fit.model}.space: no value fits:\n{wrongs[0]}")
    if any(fit.inputs == "images" for fit in fits):
        with suppress(DataNotFoundError):
            chosen = parts.select(base.data, seed=base.seed, data_dir=data_dir)
            parts.images(base.data, chosen, seed=base.seed)


def _wrong(fit: Fit, config: CompareConfig, base: Experiment) -> str:
    """What is wrong with a model's settings; empty: nothing."""
    try:
        if fit.baseline == LIQUID:
            at(base, fit.set)
            return ""
        model = make_baseline(fit.baseline, settings(fit, config))
        model.require()
    except MissingExtraError:
        raise
    except NeurosimError as why:
        return str(why)
    if fit.inputs == "states" and model.kind != "vector":
        return f"it reads {model.kind}s, and states of a liquid are vectors; take inputs = 'events'"
    return ""
