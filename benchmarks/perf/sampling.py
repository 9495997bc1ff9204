"""Speed of `neurosim.device.sample_conductances` against NumPy and PyTorch: see ../README.md.

10^7 conductances: lognormal spread of 15 % from device to device, times 1 + 2 % normal read noise. One thread
each, CPU time, all in turns; every contender allocates what it returns.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from scipy import stats

from neurosim.device import sample_conductances

N, G, SIGMA_D2D, SIGMA_READ = 10**7, 30e-6, 0.15, 0.02
S = np.sqrt(np.log1p(SIGMA_D2D**2))
MU = np.log(G) - S**2 / 2
ROUNDS = 7
SIGMAS = np.arange(3, 6)
N_TAIL = 10**8


def neurosim() -> Any:
    return sample_conductances(N, G, SIGMA_D2D, SIGMA_READ, seed=1, name="bench")


def generator_fp64(random: np.random.Generator) -> Any:
    """In place where NumPy allows it: faster than the same as one expression."""
    g = random.lognormal(MU, S, N)
    noise = random.standard_normal(N)
    noise *= SIGMA_READ
    noise += 1
    g *= noise
    return g


def generator_fp32(random: np.random.Generator) -> Any:
    """The same in float32, in place, from standard normals: the Generator has no float32 lognormal."""
    g, noise = (random.standard_normal(N, np.float32) for _ in range(2))
    g *= np.float32(S)
    g += np.float32(MU)
    np.exp(g, out=g)
    noise *= np.float32(SIGMA_READ)
    noise += np.float32(1)
    g *= noise
    return g


def randomstate(random: np.random.RandomState) -> Any:
    g = random.lognormal(MU, S, N)
    noise = random.standard_normal(N)
    noise *= SIGMA_READ
    noise += 1
    g *= noise
    return g


def torch_fp32() -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)

    def run() -> Any:
        g = torch.empty(N).log_normal_(MU, S)
        return g.mul_(torch.randn(N).mul_(SIGMA_READ).add_(1))

    return run


def tails() -> dict[str, float]:
    """Counts beyond 3, 4 and 5 sigma of either effect and side, in standard errors of the binomial law."""
    worst, beyond = 0.0, 0
    for law in ((SIGMA_D2D, 0.0), (0.0, SIGMA_READ)):
        counts = np.zeros((2, len(SIGMAS)))
        for first in range(0, N_TAIL, N):
            g = sample_conductances(N, G, *law, seed=2, name="tails", first_cell=first)
            for row, sign in zip(counts, (1, -1), strict=True):
                z = sign * SIGMAS
                edges = G * (np.exp(S * z - S**2 / 2) if law[0] else 1 + SIGMA_READ * z)
                row += [np.count_nonzero(sign * g > sign * np.float32(edge)) for edge in edges]
        p = stats.norm.sf(SIGMAS)
        worst = max(worst, np.abs((counts - N_TAIL * p) / np.sqrt(N_TAIL * p)).max())
        beyond += int(counts[:, -1].sum())
    return {
        "tail_worst_z": worst,
        "tail_beyond_5_sigma": beyond,
        "tail_expected": 4 * N_TAIL * stats.norm.sf(5),
    }


def threads_ratio() -> float | None:
    """Wall time on one thread over wall time on two, best of each."""
    if numba.config.NUMBA_NUM_THREADS < 2:
        return None
    spent: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(ROUNDS):
        for n, seconds in spent.items():
            numba.set_num_threads(n)
            start = time.perf_counter()
            neurosim()
            seconds.append(time.perf_counter() - start)
    numba.set_num_threads(1)
    return min(spent[1]) / min(spent[2])


def main() -> None:
    numba.set_num_threads(1)
    random, old = np.random.default_rng(1), np.random.RandomState(1)
    contenders: dict[str, Callable[[], Any]] = {
        "neurosim": neurosim,
        "numpy_generator_fp64": lambda: generator_fp64(random),
        "numpy_generator_fp32": lambda: generator_fp32(random),
        "randomstate": lambda: randomstate(old),
    }
    try:
        contenders["torch"] = torch_fp32()
    except ImportError as why:
        print(f"torch: not installed ({why})")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    shape = {}
    for turn in range(ROUNDS + 1):
        for name, run in contenders.items():
            start = time.process_time()
            g = run()
            seconds[name].append(time.process_time() - start)
            if not turn:
                shape[name] = float(g.mean()), float(g.std())
    median = {name: float(np.median(spent[1:])) for name, spent in seconds.items()}

    print(f"{N:,} conductances, one thread, CPU time, median of {ROUNDS}")
    print(f"{'':22}{'ms':>8}{'ns/cell':>9}{'ratio':>8}{'mean/g':>9}{'sd/g':>8}")
    for name, spent in median.items():
        mean, sd = shape[name]
        columns = f"{1e3 * spent:8.1f}{1e9 * spent / N:9.2f}{spent / median['neurosim']:8.2f}"
        print(f"{name:22}{columns}{mean / G:9.5f}{sd / G:8.5f}")
    ratios = ("numpy_generator_fp64", "numpy_generator_fp32", "randomstate", "torch")
    result = {
        f"ratio_{name}": median[name] / median["neurosim"] if name in median else None for name in ratios
    }
    result |= {"ratio_threads": threads_ratio(), "threads": 1, "ns_per_cell": 1e9 * median["neurosim"] / N}
    result |= tails()
    print(json.dumps({k: v if v is None else round(v, 2) for k, v in result.items()}))


if __name__ == "__main__":
    main()
