"""Workers that join and leave a study on PostgreSQL: nothing lost or done twice, and how fast storages are.

A private PostgreSQL server is started from Debian's packages. A study is put into it, and worker processes,
four at a time, join and leave: by themselves, on SIGTERM as a batch system ends them, or by SIGKILL. In the
end every point must be there exactly once. Then the rate is measured of points that cost nothing, with 1, 2
and 4 workers on PostgreSQL and on SQLite.

    make bench NAME=postgres_workers
    python benchmarks/studies/postgres_workers.py POINTS SEED
"""

import argparse
import contextlib
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import kill_sweep

from neurosim.study.points import sweep_points
from neurosim.study.storage import Queue, died, folder_url, join_study, open_study
from neurosim.study.worker import work

SERVERS = Path("/usr/lib/postgresql")
WORKERS = 4


def server() -> Path | None:
    """Folder of the newest PostgreSQL of Debian's packages."""
    found = [path for path in SERVERS.glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: float(path.parent.name), default=None)


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A server of our own, without a network port; gives the URL of its database."""
    folder = Path(mkdtemp(prefix="neurosim_pg_"))
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name  # it refuses to run as root
    if os.getuid() == 0:
        shutil.chown(folder, user)

    def call(program: str, *args: str) -> None:
        as_user = user if os.getuid() == 0 else None
        subprocess.run(
            [str(programs / program), "-D", str(folder / "data"), *args],
            check=True,
            user=as_user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )

    try:
        call("initdb", "--auth=trust", f"--username={user}")
        call("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=")
        try:
            yield f"postgresql+psycopg://{user}@/postgres?host={folder}"
        finally:
            call("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


def start(url: str, n: int, log: Path, evaluate: str) -> subprocess.Popen[bytes]:
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent), kill_sweep.LOG: str(log)}
    return subprocess.Popen([sys.executable, __file__, "work", url, str(n), evaluate], env=env)


def idle(_experiment: object, _data_dir: object) -> dict[str, object]:
    """A point that costs nothing, with a row of the usual size."""
    return ROW


ROW: dict[str, object] = {
    "accuracy": 0.9,
    "per_chip": [0.9] * 10,
    "energy_parts": {f"part {i}": 1e-9 for i in range(8)},
    "array": {f"fact {i}": 1e-9 for i in range(8)},
    "fingerprint": "0" * 64,
}


def come_and_go(url: str, n: int, log: Path) -> Counter[str]:
    """Workers join and leave until every point has ended."""
    config = kill_sweep.study(n)
    _, points = sweep_points(config)
    queue = open_study(url, config, points)
    team = [start(url, n, log, "kill_sweep:evaluate") for _ in range(WORKERS)]
    seen = Counter[str](joined=WORKERS)
    while not all(trial.state.is_finished() for trial in queue.points().values()):
        time.sleep(random.uniform(0.2, 1.5))
        leaving = random.choice(team)
        if log.exists() and leaving.poll() is None:
            kind = random.choice([signal.SIGTERM, signal.SIGKILL])
            leaving.send_signal(kind)
            seen[kind.name] += 1
        for worker in [worker for worker in team if worker.poll() is not None]:
            team.remove(worker)
            seen["left by itself"] += worker.returncode == 0
        queue.bury()
        while len(team) < WORKERS:
            team.append(start(url, n, log, "kill_sweep:evaluate"))
            seen["joined"] += 1
    for worker in team:
        worker.wait()
    queue.bury()
    counted = Counter(t.user_attrs["point"]["key"] for t in queue.trials() if not died(t))
    assert counted == Counter(point.key for point in points), "a point is missing or there twice"
    evaluations = Counter(log.read_text().splitlines())
    assert len(evaluations) == n, f"{len(evaluations)} of {n} points were evaluated"
    again = evaluations.total() - n
    assert again <= seen["SIGTERM"] + seen["SIGKILL"], f"{again} evaluations too many"
    return seen + Counter(evaluated_again=again)


def rate(url: str, n: int, workers: int, name: str) -> tuple[float, float]:
    """Points per second that the storage takes in, and that ``workers`` processes take, do and finish."""
    config = kill_sweep.study(n).model_copy(update={"name": name})
    _, points = sweep_points(config)
    before = time.perf_counter()
    queue = open_study(url, config, points)
    put = n / (time.perf_counter() - before)
    start_line = Path(mkdtemp()) / "go"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "GO": str(start_line)}
    args = [sys.executable, __file__, "race", url, str(n), name]
    team = [
        subprocess.Popen([*args, str(place / workers)], env=env, stdout=subprocess.PIPE)
        for place in range(workers)
    ]
    for worker in team:
        assert worker.stdout
        worker.stdout.readline()  # it is ready
    before = time.perf_counter()
    start_line.touch()
    done = sum(int(worker.communicate()[0]) for worker in team)
    seconds = time.perf_counter() - before
    assert done == n == sum(trial.state.is_finished() for trial in queue.trials())
    return put, n / seconds


def race(url: str, n: int, name: str, place: float) -> None:
    queue: Queue = join_study(url, kill_sweep.study(n).model_copy(update={"name": name}))
    queue.start = place
    print("ready", flush=True)
    while not Path(os.environ["GO"]).exists():
        time.sleep(0.001)
    print(work(queue, kill_sweep.study(n), evaluate="postgres_workers:idle"))


def main(n: int, seed: int, *, rates_too: bool) -> None:
    random.seed(seed)
    programs = server()
    if programs is None:
        print(json.dumps({"skipped": f"no PostgreSQL server under {SERVERS}; apt-get install postgresql"}))
        return
    scratch = Path(mkdtemp(prefix="neurosim_pg_bench_"))
    rates = {}
    try:
        with postgres(programs) as url:
            found = come_and_go(url, n, scratch / "evaluations.txt")
            print(f"{n} points, workers: {dict(found)}")
            for kind, where in (("postgresql", url), ("sqlite", folder_url(scratch))):
                for workers in (1, 2, 4) if rates_too else ():
                    put, done = rate(where, n, workers, f"rate{workers}")
                    rates[f"{kind}_{workers}_workers_per_s"] = round(done, 1)
                    print(
                        f"{kind:10} {workers} workers: {put:7.1f} points/s put in, {done:7.1f} points/s done"
                    )
    finally:
        shutil.rmtree(scratch)
    print(json.dumps({"points": n, **found, **rates}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        url, points, function = sys.argv[2:5]
        with contextlib.suppress(KeyboardInterrupt):
            work(
                join_study(url, kill_sweep.study(int(points))),
                kill_sweep.study(int(points)),
                evaluate=function,
            )
    elif sys.argv[1:2] == ["race"]:
        race(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
    else:
        options = argparse.ArgumentParser()
        options.add_argument("points", type=int, nargs="?", default=400)
        options.add_argument("seed", type=int, nargs="?", default=0)
        options.add_argument("--no-rates", dest="rates_too", action="store_false")
        given = options.parse_args()
        main(given.points, given.seed, rates_too=given.rates_too)
