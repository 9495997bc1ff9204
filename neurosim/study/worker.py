"""Who does the work of a study: one process, or several that a parent starts and watches over."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from neurosim.config import validate
from neurosim.errors import DataNotFoundError, ExperimentError, MissingExtraError, NeurosimError
from neurosim.study.compare.plan import task_of
from neurosim.study.config import StudyConfig
from neurosim.study.points import at
from neurosim.study.search import judge, propose
from neurosim.study.storage import GOLDEN, Queue, Task, join_study

EVALUATE = "neurosim.study.evaluate:evaluate"
EVALUATE_FIT = "neurosim.study.compare.evaluate:evaluate"
MAX_DEATHS = 3  # of the processes that worked on a point, after which it counts as failed
LOOK = 0.5  # [s] between two looks at the storage, or 20 times as long as a look takes
CANNOT = 3  # exit code of a worker that says why it cannot work

# from an experiment, or a fit of a comparison, and the folder of the data to what is kept of it
Evaluate = Callable[[Any, Path | None], Any]
Show = Callable[["Status"], None]


@dataclass(frozen=True)
class Status:
    """How far a study is.

    Attributes:
        total, done, failed, running: Points.
        finished: Points that ended since this process began to watch.
        seconds: Time since then [s].
        workers: Processes that this one has started.
        best: Values and accuracy of the best point, if any is done; a comparison shows none.
    """

    total: int
    done: int
    failed: int
    running: int
    finished: int
    seconds: float
    workers: int
    best: tuple[Mapping[str, Any], float] | None

    @property
    def waiting(self) -> int:
        """Points that nobody has taken."""
        return self.total - self.done - self.failed - self.running

    @property
    def over(self) -> bool:
        """Whether every point is done or has failed."""
        return self.done + self.failed == self.total

    @property
    def rate(self) -> float:
        """Points per second."""
        return self.finished / self.seconds if self.seconds else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until all points have ended [s]; None where no point has ended yet."""
        left = self.total - self.done - self.failed
        return left / self.rate if self.rate else (None if left else 0.0)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def do_points(
    queue: Queue,
    config: StudyConfig,
    url: str,
    folder: Path,
    *,
    jobs: int | None = None,
    data_dir: Path | None = None,
    evaluate: str | None = None,
    show: Show | None = None,
) -> None:
    """Do the points of a queue that are not done yet; those that others work on are waited for.

    Args:
        queue: The points.
        config: Their study.
        url: Storage that the queue is in.
        folder: Where ``workers.log`` goes.
        jobs: Processes; None is one per core. One works in this process.
        data_dir: Folder of the data sets.
        evaluate: ``module:function`` that every process calls with an experiment (of a comparison, a
            `neurosim.study.compare.plan.Task`) and ``data_dir`` to get a row; None: that of the study's kind.
        show: Called now and then with how far it is.

    Raises:
        NeurosimError: If no worker can work, e.g. for want of data.
    """
    watch = _Watch(queue, show, ranked=not config.compare)  # test scores are looked at in the end only
    jobs = jobs or cores()
    if jobs == 1:
        work(queue, config, data_dir=data_dir, evaluate=evaluate, after=lambda: watch.look_again(1))
    order = {
        "url": url,
        "study": config.to_json(),
        "evaluate": evaluate,
        "data_dir": str(data_dir) if data_dir else None,
    }
    deaths: Counter[str] = Counter()
    team = _Team(jobs, order, folder / "workers.log")
    try:
        while not (status := watch.look(len(team.members))).over:
            ended = team.ended()
            lost = queue.bury()
            deaths.update(trial.user_attrs["point"]["key"] for trial in lost)
            team.check(ended, found=len(lost))
            _fail_deadly(queue, deaths)
            team.fill(status.total - status.done - status.failed, status.waiting)
            time.sleep(watch.pause)
    finally:
        team.stop()
        queue.bury()


def work(
    queue: Queue,
    config: StudyConfig,
    *,
    data_dir: Path | None = None,
    evaluate: str | None = None,
    after: Callable[[], object] = lambda: None,
) -> int:
    """Do waiting points until none waits.

    Any error of a point is kept as its result. Only if the data or a package are missing at the first point,
    which says more about this machine than about the point, the point waits again and the error goes on.

    Args:
        queue: Where they wait.
        config: The study.
        data_dir: Folder of the data sets.
        evaluate: See `do_points`.
        after: Called after every point.

    Returns:
        How many points were done.
    """
    module, _, name = (evaluate or (EVALUATE_FIT if config.compare else EVALUATE)).partition(":")
    function: Evaluate = getattr(import_module(module), name)
    n = 0
    while (task := queue.take()) is not None:
        try:
            with queue.alive(task):
                row = function(_subject(config, queue, task), data_dir)
                values = judge(config.search, queue.study, task.trial_id, row) if config.search else None
        except (DataNotFoundError, MissingExtraError) as why:
            if not n:
                queue.give_back(task)
                raise
            queue.failed(task, str(why))
        except NeurosimError as why:
            queue.failed(task, str(why))
        except Exception as why:  # noqa: BLE001 (a bug at one point must not stop the others)
            queue.failed(task, f"{type(why).__name__}: {why}")
        except BaseException:
            queue.give_back(task)
            raise
        else:
            queue.done(task, row, values)
        n += 1
        after()
    return n


def _subject(config: StudyConfig, queue: Queue, task: Task) -> Any:
    """What a point is evaluated on."""
    if config.compare:
        return task_of(config.compare, config.experiment, task.overrides, queue.trials())
    design = propose(config.search, queue.study, task.trial_id) if config.search else {}
    return at(config.experiment, {**task.overrides, **design})


def join(config: StudyConfig, url: str, *, data_dir: Path | None = None, evaluate: str | None = None) -> int:
    """Work on a study that somebody else has started, until none of its points waits.

    Returns:
        How many points were done.

    Raises:
        ExperimentError: If there is no such study.
    """
    n = 0
    for stage in config.stages:
        try:
            queue = join_study(url, stage)
        except ExperimentError:
            if stage is config.stages[0]:
                raise
            break  # the trials are not over yet
        queue.start = os.getpid() * GOLDEN % 1  # anywhere: it decides only who does which point
        n += work(queue, stage, data_dir=data_dir, evaluate=evaluate)
    return n


class _Watch:
    """Looks at a queue, not so often that looking takes more than a twentieth of the time."""

    def __init__(self, queue: Queue, show: Show | None, *, ranked: bool) -> None:
        self._queue, self._show, self._ranked = queue, show, ranked
        self._start = self._last = time.monotonic()
        self._ended_before: int | None = None
        self.pause = LOOK

    def look(self, workers: int) -> Status:
        before = time.monotonic()
        trials = self._queue.points().values()
        states = Counter(trial.state for trial in trials)
        done, failed = states[TrialState.COMPLETE], states[TrialState.FAIL]
        if self._ended_before is None:
            self._ended_before = done + failed
        rows = ((t.user_attrs["row"]["accuracy"], t) for t in trials if t.state == TrialState.COMPLETE)
        best = max(rows, key=lambda row: row[0], default=None) if self._ranked else None
        status = Status(
            total=len(trials),
            done=done,
            failed=failed,
            running=states[TrialState.RUNNING],
            finished=done + failed - self._ended_before,
            seconds=before - self._start,
            workers=workers,
            best=({**best[1].user_attrs["point"]["values"], **best[1].params}, best[0]) if best else None,
        )
        if self._show:
            self._show(status)
        self._last = time.monotonic()
        self.pause = max(LOOK, 20 * (self._last - before))
        return status

    def look_again(self, workers: int) -> None:
        """Look if the last time is long enough ago."""
        if time.monotonic() - self._last > self.pause:
            self.look(workers)


class _Team:
    """Worker processes on this machine. They end with their parent, however it ends.

    Args:
        jobs: How many at most.
        order: What they are to do: the arguments of `_obey`.
        log: File that they write errors to.
    """

    def __init__(self, jobs: int, order: Mapping[str, Any], log: Path) -> None:
        threads = str(max(1, cores() // jobs))
        self._env = os.environ | {"NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        self._jobs, self._order, self._log = jobs, order, log
        self._started = self._idle_deaths = 0
        self._read = log.stat().st_size if log.exists() else 0
        self.members: list[subprocess.Popen[str]] = []

    def fill(self, left: int, waiting: int) -> None:
        """Start workers while points wait and there are fewer than points that are left."""
        while waiting and len(self.members) < min(self._jobs, left):
            with self._log.open("a", encoding="utf-8") as log:
                member = subprocess.Popen(
                    [sys.executable, "-c", "from neurosim.study.worker import _obey; _obey()"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=self._env,
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the parent, which ends them
                )
            order = {**self._order, "start": self._started % self._jobs / self._jobs}
            self.members.append(member)
            self._started += 1
            if member.stdin:
                with contextlib.suppress(BrokenPipeError):  # already dead, which `ended` will find
                    member.stdin.write(json.dumps(order) + "\n")
                    member.stdin.flush()

    def ended(self) -> list[int]:
        """Exit codes of the workers that have ended and not well."""
        gone = [member for member in self.members if member.poll() is not None]
        self._release(gone)
        return [member.returncode for member in gone if member.returncode]

    def check(self, codes: Sequence[int], found: int) -> None:
        """Give up where workers end before they have taken a point.

        Args:
            codes: Exit codes of those that have ended.
            found: Points that they held.

        Raises:
            NeurosimError: If a worker says that it cannot work, or several died without a word.
        """
        self._idle_deaths += max(0, len(codes) - found)
        if CANNOT in codes or self._idle_deaths > self._jobs + MAX_DEATHS:
            with self._log.open(encoding="utf-8", errors="replace") as log:
                log.seek(self._read)
                lines = dict.fromkeys(log.read().splitlines()[-20:])
            raise NeurosimError("\n".join([*lines, f"workers could not work; more is in {self._log}"]))

    def stop(self) -> None:
        """End all workers; their points are taken back by `Queue.bury`."""
        for member in self.members:
            member.kill()
        self._release(self.members)

    def _release(self, members: Sequence[subprocess.Popen[str]]) -> None:
        for member in members:
            member.wait()
            if member.stdin:
                member.stdin.close()
        self.members = [member for member in self.members if member not in members]


def _fail_deadly(queue: Queue, deaths: Mapping[str, int]) -> None:
    """Let a point fail that every process dies of, as one for which the memory is too small."""
    for key in [key for key, n in deaths.items() if n >= MAX_DEATHS]:
        trial = queue.points().get(key)
        if trial and trial.state == TrialState.WAITING and (task := queue.claim(trial)):
            queue.failed(task, f"its process died {deaths[key]} times: killed, or out of memory?")


def _obey() -> None:
    """What a worker process does: read its order from the parent, and work."""
    order = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    config = validate(StudyConfig, order["study"], where="order", error=ExperimentError)
    data_dir = Path(order["data_dir"]) if order["data_dir"] else None
    try:
        queue = join_study(order["url"], config)
        queue.start = order["start"]
        work(queue, config, data_dir=data_dir, evaluate=order["evaluate"])
    except NeurosimError as why:
        sys.stderr.write(f"{why}\n")
        sys.exit(CANNOT)


def _end_with_parent() -> None:
    """Wait for the end of the pipe from the parent, which comes when it is gone, and end at once."""
    while os.read(0, 1024):
        pass
    os._exit(1)
