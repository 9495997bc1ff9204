"""From a comparison to its result: trials choose every model's settings, then all models are tested."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from neurosim.errors import ExperimentError
from neurosim.store import write_text
from neurosim.study.compare.check import check
from neurosim.study.compare.collect import Done, choose, collect
from neurosim.study.compare.page import write_page
from neurosim.study.compare.plan import Fit, finals, trials
from neurosim.study.compare.results import Comparison
from neurosim.study.config import StudyConfig, to_toml
from neurosim.study.results import STATES
from neurosim.study.storage import Queue, folder_url, open_study
from neurosim.study.worker import Show, do_points

FILES = ("study.toml", "result.json", "report.html")


def run_compare(
    config: StudyConfig,
    folder: Path,
    *,
    jobs: int | None = None,
    storage: str | None = None,
    data_dir: Path | None = None,
    evaluate: str | None = None,
    show: Show | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Comparison:
    """Do what is left of a comparison, and write the folder's files.

    An interrupted one goes on where it stopped; given more models, seeds, sizes or trials, it does what these
    add. Arguments and errors that are not named here are those of `neurosim.study.worker.do_points`.

    Args:
        config: The study.
        folder: Where ``study.db`` and the results are.
        storage: URL of another storage than ``study.db``; see `open_storage`.
        jobs, data_dir, evaluate, show: See above.
        say: Called with a line when a stage begins.

    Raises:
        ExperimentError: If the study asks something else, or a model of it cannot be made.
        MissingExtraError: If a model needs a package that is not installed.
    """
    compare = config.compare
    if compare is None:
        raise ExperimentError(
            f"study '{config.name}' has no [compare]; add it, or run: neurosim {config.kind} STUDY.toml"
        )
    check(compare, config.experiment, data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    url = storage or folder_url(folder)
    tried: list[Done] = []
    tested: list[Done] = []

    def do(stage: StudyConfig, fits: Sequence[Fit], done: list[Done], what: str) -> None:
        say(what)
        points = [fit.point(number) for number, fit in enumerate(fits)]
        queue = open_study(url, stage, points)
        try:
            do_points(queue, stage, url, folder, jobs=jobs, data_dir=data_dir, evaluate=evaluate, show=show)
        finally:
            done += _done(queue, fits)

    try:
        if planned := trials(compare):
            do(config.stages[0], planned, tried, f"{len(planned)} trials choose the settings")
        planned = finals(compare, choose(tried))
        do(config, planned, tested, f"{len(planned)} fits are tested")
    finally:  # what is done is written even if the rest is not, but no trials over what was tested before
        if tested or (tried and not (folder / "result.json").exists()):
            result = collect(config, tried, tested)
            write(result, folder)
    return result


def write(result: Comparison, folder: Path) -> None:
    """Write `FILES`, each as a whole or not at all."""
    study, numbers, page = (folder / name for name in FILES)
    write_text(study, to_toml(result.study))
    write_text(numbers, json.dumps(result.to_json(), indent=1) + "\n")
    write_page(result, page)


def _done(queue: Queue, fits: Sequence[Fit]) -> list[Done]:
    """What became of fits; settings of a trial are in its row."""
    found = queue.points()
    done = []
    for fit in fits:
        trial = found.get(fit.point(0).key)  # none where a process has just died on it
        saved = trial.user_attrs if trial else {}
        row = saved["row"] if trial and STATES[trial.state] == "done" else None
        done.append(Done(fit, row, saved.get("error")))
    return done
