"""Feed damaged and hostile files to the readers of macro images and measurements: see ../README.md.

Every file is a good one with bits flipped, cut off, spliced, or with its structure changed in one of the ways
of tests/mutations.py; most carry the right sum of the whole, as an attacker would write it. A file must be
refused with an error of neurosim, or give a design that runs; with 4 GiB of memory and 10 s a file.

    make bench NAME=fuzz_macro
    python benchmarks/studies/fuzz_macro.py FILES FIRST
"""

import json
import resource
import signal
import subprocess
import sys
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
import mutations
from small_design import small_design

from neurosim.errors import NeurosimError
from neurosim.export.design import Design
from neurosim.export.image import read_macro
from neurosim.export.macro import write_macro
from neurosim.export.measured import read_measured, write_measured
from neurosim.export.virtual import virtual_chip
from neurosim.reservoir import simulate

MEMORY, SECONDS = 4 << 30, 10


def outcome(design: Design, path: Path, kind: str) -> str:
    """What reading a file led to: ``refused``, ``read``, or the name of an error that should not be."""
    try:
        if kind == "image":
            got = read_macro(path)
            simulate(got.liquid, got.vectors.binned)
        else:
            read_measured(str(path), design)
    except NeurosimError as why:
        return "refused" if str(why) else "no message"
    except Exception as why:  # noqa: BLE001 (what the fuzzer looks for)
        return f"{type(why).__name__}: {why}"[:150]
    return "read"


def work(folder: Path, first: int, stop: int) -> None:
    """One process: a line for every file."""
    design = read_macro(folder / "image.h5")
    good = {kind: (folder / f"{kind}.h5").read_bytes() for kind in ("image", "measured")}
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for seed in range(first, stop):
        kind = "image" if seed % 2 else "measured"
        name, data = mutations.mutate(good[kind], seed)
        path = folder / "mutated.h5"
        path.write_bytes(data)
        signal.alarm(SECONDS)
        said = outcome(design, path, kind)
        signal.alarm(0)
        print(json.dumps([seed, kind, name, said]), flush=True)


def main(n: int, first: int) -> None:
    design = small_design()
    found: Counter[tuple[str, str]] = Counter()
    wrong: list[list[object]] = []
    with TemporaryDirectory() as place:
        folder = Path(place)
        write_macro(design, folder / "image.h5")
        measured = virtual_chip(design, design.experiment.device, seed=1, times=(0.0, 1.0))
        write_measured(measured, folder / "measured.h5", fingerprint=design.fingerprint)
        for kind in ("image", "measured"):
            assert outcome(design, folder / f"{kind}.h5", kind) == "read"
        next_seed = first
        while next_seed < first + n:
            command = [sys.executable, __file__, "work", place, str(next_seed), str(first + n)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                for line in child.stdout or ():
                    seed, kind, name, said = json.loads(line)
                    fine = said in ("read", "refused")
                    found[(name, said if fine else "wrong")] += 1
                    next_seed = seed + 1
                    if not fine:
                        wrong.append([seed, kind, name, said])
            if child.returncode:
                wrong.append([next_seed, "", "", f"process ended with {child.returncode}"])
                next_seed += 1
    print(f"{'mutation':24} {'refused':>8} {'read':>8} {'wrong':>8}")
    for name in sorted({name for name, _ in found}):
        print(f"{name:24} " + " ".join(f"{found[name, what]:8}" for what in ("refused", "read", "wrong")))
    for case in wrong[:20]:
        print(case)
    refused, read = (sum(k for (_, said), k in found.items() if said == what) for what in ("refused", "read"))
    print(json.dumps({"files": n, "refused": refused, "read": read, "wrong": len(wrong)}))
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main(*(int(given or usual) for given, usual in zip_longest(sys.argv[1:3], (10_000, 0))))
