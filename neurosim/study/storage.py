"""A study in Optuna's storage: every point is one trial, done once however many workers take part.

A point waits, is taken by one process, and ends done or failed (the trial has its row or its error). A trial
that ends with neither died with its process: it no longer counts, and the point is put into the study once
more. Of several trials of a point the first that counts is the point's, so that putting a point in twice
harms nothing, whoever does it and whenever he is killed.
"""

import os
import socket
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from neurosim.config import fingerprint
from neurosim.errors import ExperimentError, MissingExtraError
from neurosim.experiment import resolve
from neurosim.study.config import StudyConfig, load_study
from neurosim.study.points import DesignPoint

if TYPE_CHECKING:
    from sqlalchemy import Engine

Direction = Literal["maximize", "minimize"]

HEARTBEAT = 30  # [s] between signs of life of a running trial
GRACE = 300  # [s] without one after which it is dead; a compiled kernel lets no other thread run
UNSIGNED = timedelta(seconds=20)  # after which a running trial without an owner is dead
GOLDEN = 0.618  # multiples of the golden ratio spread evenly over 0..1
BUSY = 120  # [s] that a process waits for another's transaction in SQLite


def folder_url(folder: Path) -> str:
    """URL of the storage in a study's folder."""
    return f"sqlite:///{folder.resolve() / 'study.db'}"


def open_storage(url: str) -> BaseStorage:
    """Optuna's storage at a URL.

    Args:
        url: ``sqlite:///FILE``, ``postgresql://...`` or another database of SQLAlchemy, ``journal:///FILE``
            (a file on a shared disk), or ``grpc://HOST:PORT`` (an `optuna` proxy before a database).

    Raises:
        ExperimentError: If there is no such storage, or it does not answer.
        MissingExtraError: If its driver is not installed.
    """
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kind, separator, place = url.partition("://")
    if not separator or not place:
        raise ExperimentError(
            f"--storage {url}: expected a URL, e.g. postgresql://USER@HOST/DATABASE, journal:///FILE, "
            "grpc://HOST:PORT or sqlite:///FILE"
        )
    try:
        if kind == "journal":
            from optuna.storages.journal import JournalFileBackend, JournalStorage

            return JournalStorage(JournalFileBackend(place))
        if kind == "grpc":
            host, _, port = place.partition(":")
            with _experimental():
                return optuna.storages.GrpcStorageProxy(host=host, port=int(port or 13000))
        return _database(url)
    except ImportError as why:
        raise MissingExtraError(
            f"--storage {kind}://...: its driver is not installed ({why}); "
            "pip install 'psycopg[binary]' for PostgreSQL, grpcio and protobuf for gRPC"
        ) from None
    except (SQLAlchemyError, StorageInternalError, OSError, ValueError) as why:
        reason = str(why.__cause__ or why).splitlines()[0]
        raise ExperimentError(
            f"--storage {kind}://...: cannot be opened: {reason}; check the address and that it is running"
        ) from None


@contextmanager
def _experimental() -> Iterator[None]:
    """Use what Optuna may still change: heartbeats and the gRPC proxy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def _database(url: str) -> RDBStorage:
    lite = url.startswith("sqlite")
    with _experimental():
        storage = RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": BUSY}} if lite else {"pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
        )
    if lite:
        _serialise(storage.engine)
    return storage


def _serialise(engine: "Engine") -> None:
    """Make SQLite take its write lock when a transaction begins.

    Optuna reads a trial's state and then writes it. SQLite has no SELECT FOR UPDATE, and Python's driver
    begins a transaction at the write only, so that two processes could take the same trial.
    """
    from sqlalchemy import event

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections made before


def open_study(
    url: str,
    config: StudyConfig,
    points: Iterable[DesignPoint],
    directions: Iterable[Direction] = ("maximize",),
) -> "Queue":
    """The study in its storage, made where it is missing, with every point in it.

    A study that is there goes on if it says the same, or more: values may be added to its axes, and points to
    a random design.

    Raises:
        ExperimentError: If another study of this name is there, or the storage does not answer.
    """
    storage = open_storage(url)
    study = optuna.create_study(
        storage=storage, study_name=config.name, directions=list(directions), load_if_exists=True
    )
    queue = Queue(study, storage)
    points = list(points)
    base = _base_fingerprint(config)
    there = study.user_attrs.get("base", base)
    lost = {str(trial.user_attrs["point"]["key"]) for trial in queue.trials()} - {p.key for p in points}
    if config.compare:  # another choice of settings makes other fits
        queue.wanted, lost = frozenset(point.key for point in points), set()
    if there != base or lost:
        shared = "base experiment, training or robustness" if config.compare else "base experiment"
        what = f"{len(lost)} of its points are not in this one" if lost else f"its {shared} differs"
        raise ExperimentError(
            f"study '{config.name}' is in {_shown(url)} already and is another one ({what}); a study may "
            "only get more values or points: name another folder by --out, or another study by --set name=..."
        )
    study.set_user_attr("base", base)
    study.set_user_attr("study", config.to_json())
    if queue.wanted is not None:
        study.set_user_attr("wanted", sorted(queue.wanted))
    queue.put(points)
    return queue


def join_study(url: str, config: StudyConfig) -> "Queue":
    """The study that somebody else has put into a storage.

    Raises:
        ExperimentError: If it is not there, or is another one.
    """
    storage = open_storage(url)
    try:
        study = optuna.load_study(study_name=config.name, storage=storage)
    except KeyError:
        raise ExperimentError(
            f"no study '{config.name}' in {_shown(url)}; "
            f"start it with: neurosim {config.kind} FILE --storage URL"
        ) from None
    if study.user_attrs.get("base") != _base_fingerprint(config):
        raise ExperimentError(
            f"study '{config.name}' in {_shown(url)} has another base experiment than this file; "
            "take the file that it was started with"
        )
    wanted = study.user_attrs.get("wanted")
    return Queue(study, storage, wanted=None if wanted is None else frozenset(wanted))


def _base_fingerprint(config: StudyConfig) -> str:
    """Of all that the points have in common, cards inlined."""
    own = None
    if config.search:
        own = config.search.model_dump(mode="json", exclude={"n_trials"})
    elif config.compare:
        own = config.compare.model_dump(mode="json", include={"training", "robustness"})
    return fingerprint(config.kind, resolve(config.experiment), own)


def serve_dashboard(url: str, port: int) -> None:
    """Show a storage's studies in the browser, at ``http://localhost:PORT``, until interrupted.

    Raises:
        MissingExtraError: If optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import run_server
    except ImportError:
        raise MissingExtraError(
            "the dashboard needs optuna-dashboard; install it with: pip install 'neurosim-codesign[study]'"
        ) from None
    run_server(open_storage(url), host="localhost", port=port)


def study_url(study: str) -> str:
    """URL of a study's storage, from that URL, its folder, or the TOML file or example that it was made of.

    Raises:
        ExperimentError: If there is nothing.
    """
    if "://" in study:
        return study
    folder = Path(study)
    if not folder.is_dir():
        folder = Path("runs") / load_study(study).name
    if not (folder / "study.db").is_file():
        raise ExperimentError(f"{folder}: no study.db there; name the folder or the URL of the study")
    return folder_url(folder)


def _shown(url: str) -> str:
    """A URL without its password."""
    head, at, host = url.rpartition("@")
    return f"{head.split('://')[0]}://...@{host}" if at else url


@dataclass(frozen=True)
class Task:
    """A point that this process has taken.

    Attributes:
        trial_id: Of Optuna's trial.
        key: The point's key.
        overrides: What differs from the base experiment.
    """

    trial_id: int
    key: str
    overrides: Mapping[str, Any]


@dataclass
class Queue:
    """The points of a study, as one process sees them.

    Trials are taken through the storage instead of `Study.ask`, which reads all of them for every one and
    makes new ones when none waits.

    Attributes:
        study: Optuna's study.
        storage: Its storage.
        start: Where in the queue this process begins (0..1), so that workers keep out of each other's way and
            each does neighbouring points.
        wanted: Keys of the points that count; None: all.
    """

    study: optuna.Study
    storage: BaseStorage
    start: float = 0.0
    wanted: frozenset[str] | None = None
    _waiting: list[FrozenTrial] = field(default_factory=list)

    def trials(self) -> list[FrozenTrial]:
        """All trials, in order."""
        return self.study.get_trials(deepcopy=False)

    def points(self) -> dict[str, FrozenTrial]:
        """The trial that counts of every point, by its key."""
        counting = _counting(self.trials())
        return {key: trial for key, trial in counting.items() if self.wanted is None or key in self.wanted}

    def put(self, points: Iterable[DesignPoint]) -> None:
        """Let the points wait that the study does not have yet.

        Numbers that vary become parameters of the trial too, which is where Optuna's dashboard looks.
        """
        points, there = list(points), self.points()
        columns = {name: [point.values[name] for point in points] for name in points[0].values}
        spans = {
            name: FloatDistribution(min(column), max(column))
            for name, column in columns.items()
            if all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)
        }
        for point in points:
            if point.key not in there:
                saved = {"key": point.key, "values": dict(point.values), "set": dict(point.overrides)}
                self._add(saved, spans)

    def take(self) -> Task | None:
        """Take a waiting point; None where none waits."""
        while True:
            if not self._waiting:
                self.bury()
                trials = [t for t in self.points().values() if t.state == TrialState.WAITING]
                first = int(self.start * len(trials))
                self._waiting = (trials[first:] + trials[:first])[::-1]
            if not self._waiting:
                return None
            if task := self.claim(self._waiting.pop()):
                return task
            # the next ones are likely taken, too: look for another place
            self._waiting, self.start = [], (self.start + GOLDEN) % 1

    def claim(self, trial: FrozenTrial) -> Task | None:
        """Take one trial; None where another process was faster."""
        with suppress(UpdateFinishedTrialError):
            if self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                self.storage.set_trial_user_attr(trial._trial_id, "owner", _me())
                point = trial.user_attrs["point"]
                return Task(trial._trial_id, point["key"], point["set"])
        return None

    def done(self, task: Task, row: Mapping[str, Any], values: Sequence[float] | None = None) -> None:
        """Keep the row of a point; that of a process that was given up for dead is dropped.

        Args:
            task: The point.
            row: Its row.
            values: What the study's sampler is to see of it; None is its accuracy.
        """
        values = values or [row["accuracy"]]
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(task.trial_id, "row", row)
            self.storage.set_trial_state_values(task.trial_id, TrialState.COMPLETE, values)

    def failed(self, task: Task, error: str) -> None:
        """Keep why a point has no row."""
        with suppress(UpdateFinishedTrialError):
            self.storage.set_trial_user_attr(task.trial_id, "error", error)
            self.storage.set_trial_state_values(task.trial_id, TrialState.FAIL)

    def give_back(self, task: Task) -> None:
        """Let a point that was taken wait again."""
        self._close(task.trial_id)
        self._revive()

    def bury(self) -> list[FrozenTrial]:
        """Let the points of dead processes wait again.

        Dead is whose heartbeat has stopped (databases have one), and at once a process of this machine that
        is gone.

        Returns:
            The trials that this call found dead.
        """
        with _experimental():
            optuna.storages.fail_stale_trials(self.study)
        running = [trial for trial in self.trials() if trial.state == TrialState.RUNNING]
        dead = [trial for trial in running if _is_dead(trial) and self._close(trial._trial_id)]
        self._revive()
        return dead

    def _revive(self) -> None:
        """Put points whose trials have all died in again; of two who do this at once, one was too many."""
        trials = self.trials()
        there = _counting(trials)
        for trial in trials:
            point = trial.user_attrs["point"]
            if died(trial) and point["key"] not in there:
                there[point["key"]] = trial
                self._add(point, trial.distributions)
            elif trial.state == TrialState.WAITING and there[point["key"]].number < trial.number:
                self._close(trial._trial_id)

    def _close(self, trial_id: int) -> bool:
        """End a trial that does not count; whether nobody else did."""
        with suppress(UpdateFinishedTrialError):
            return self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        return False

    def _add(self, point: Mapping[str, Any], spans: Mapping[str, BaseDistribution]) -> None:
        numbers = {
            name: value for name, value in point["values"].items() if name in spans and value is not None
        }
        trial = optuna.create_trial(
            state=TrialState.WAITING,
            params=numbers,
            distributions={name: spans[name] for name in numbers},
            user_attrs={"point": dict(point)},
        )
        self.study.add_trial(trial)

    @contextmanager
    def alive(self, task: Task) -> Iterator[None]:
        """Show that this process works on ``task``, as long as the block lasts."""
        storage = self.storage
        if not isinstance(storage, RDBStorage):
            yield
            return
        stop = threading.Event()

        def beat() -> None:
            while True:
                with suppress(StorageInternalError):  # a database that is away for a while
                    storage.record_heartbeat(task.trial_id)
                if stop.wait(HEARTBEAT):
                    break
            storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def died(trial: FrozenTrial) -> bool:
    """Whether a trial ended with neither a row nor an error, so that it does not count."""
    return trial.state == TrialState.FAIL and "error" not in trial.user_attrs


def _counting(trials: Iterable[FrozenTrial]) -> dict[str, FrozenTrial]:
    """The first trial of every point that has not died, by the point's key."""
    found: dict[str, FrozenTrial] = {}
    for trial in trials:
        if not died(trial):
            found.setdefault(trial.user_attrs["point"]["key"], trial)
    return found


def _me() -> dict[str, Any]:
    """Who this process is, on all machines and for all time."""
    return {"host": _host(), "pid": os.getpid(), "started": _started(os.getpid())}


def _is_dead(trial: FrozenTrial) -> bool:
    """Whether the process that took a trial is known to be gone."""
    owner = trial.user_attrs.get("owner")
    if owner is None:  # taken a moment ago, or killed in between
        return trial.datetime_start is not None and datetime.now() - trial.datetime_start > UNSIGNED
    return bool(owner["host"] == _host() and _started(owner["pid"]) != owner["started"])


def _host() -> str:
    """This machine since it was started, as far as process numbers are valid."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{socket.gethostname()}/{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _started(pid: int) -> str:
    """When a living process started, in ticks since the machine did; empty where it is gone."""
    try:
        # the name of the program stands in brackets and may hold anything
        after = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if after[0] in "ZX" else after[19]
