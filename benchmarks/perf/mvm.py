"""Speed of the noisy, quantised product against aihwkit and PyTorch: see ../README.md.

One 256 x 256 matrix for everybody, 256 inputs, 8-bit drivers and converters, read noise of variance
w_noise^2 |w_ij| in every cell, new for every input (aihwkit's ``PCM_READ``). One thread each, CPU time,
all in turns.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits

from neurosim.array.mapping import program_matrix
from neurosim.array.mvm import MvmConfig, multiply
from neurosim.cards import load_macro
from neurosim.device import DeviceConfig

N, BATCH, TOP, W_NOISE, OUT_BOUND = 256, 256, 127, 0.0175, 12.0
ROUNDS, ROUND_SECONDS = 15, 0.1
N_INPUTS, N_REPEATS = 32, 256  # for the statistics

Array = npt.NDArray[np.float32]
STEP = OUT_BOUND / TOP


@dataclass
class Contender:
    """One line of the table.

    Attributes:
        label: What it is.
        run: Products (n, N) of inputs (n, N).
        noisy: Whether its noise is that of the closed form.
        seconds: Mean CPU seconds of one batch, one per round.
    """

    label: str
    run: Callable[[Any], Any]
    noisy: bool = True
    seconds: list[float] = field(default_factory=list)

    def take_turn(self, x: Array) -> None:
        """Run for ``ROUND_SECONDS`` and keep the mean."""
        start, n = time.process_time(), 0
        while (spent := time.process_time() - start) < ROUND_SECONDS or n == 0:
            self.run(x)
            n += 1
        self.seconds.append(spent / n)


def ours(w: Array) -> Contender:
    config = MvmConfig(
        dac_bits=8, dac_full_scale=1.0, adc_bits=8, adc_full_scale=1.0, signed_inputs="bipolar"
    )
    matrix = program_matrix(w, config, DeviceConfig(card="ideal"), load_macro("ideal"), seed=0, name="a")
    # the tile's noise law, and the full scale that is OUT_BOUND in units of the product
    variance = W_NOISE**2 * np.abs(w) / np.float32(matrix.weight_unit) ** 2
    full_scale = OUT_BOUND * matrix.macro.v_read.value / matrix.weight_unit
    matrix = replace(matrix, variance=variance, adc_full_scale=full_scale)
    return Contender("neurosim", lambda x: multiply(matrix, x, key=1))


def gemm(w: Array) -> Contender:
    return Contender("NumPy, one product, nothing else", lambda x: x @ w, noisy=False)


def pytorch(w: Array) -> Contender:
    weight, variance = torch.from_numpy(w), torch.from_numpy(W_NOISE**2 * np.abs(w))

    @torch.no_grad()
    def run(x: Array) -> Array:
        codes = torch.from_numpy(x).mul(TOP).round_().clamp_(-TOP, TOP).div_(TOP)
        y = codes @ weight
        y += torch.randn_like(y).mul_((codes.square_() @ variance).sqrt_())
        out: Array = y.div_(STEP).round_().clamp_(-TOP, TOP).mul_(STEP).numpy()
        return out

    return Contender("PyTorch, the same arithmetic", run)


def aihwkit(w: Array) -> dict[str, Contender]:
    """Its C++ tile in inference, without and with read noise; no management of inputs and bounds."""
    from aihwkit.simulator.configs import InferenceRPUConfig
    from aihwkit.simulator.parameters.enums import (
        BoundManagementType,
        NoiseManagementType,
        WeightNoiseType,
    )

    def tile(noise: WeightNoiseType) -> Callable[[Array], Array]:
        rpu = InferenceRPUConfig()
        rpu.mapping.weight_scaling_omega = 0.0  # weights as they are
        rpu.forward.inp_res, rpu.forward.out_res = 1 / (2 * TOP), 1 / (2 * TOP)
        rpu.forward.out_bound, rpu.forward.out_noise = OUT_BOUND, 0.0
        rpu.forward.bound_management = BoundManagementType.NONE
        rpu.forward.noise_management = NoiseManagementType.NONE
        rpu.forward.w_noise_type = noise
        rpu.forward.w_noise = W_NOISE if noise is not WeightNoiseType.NONE else 0.0
        analog = rpu.get_default_tile_module_class()(N, N, rpu)
        analog.set_weights(torch.from_numpy(w.T.copy()))
        analog.eval()

        @torch.no_grad()
        def run(x: Array) -> Array:
            out: Array = analog.tile.forward(torch.from_numpy(x), False, False, False, True, False).numpy()
            return out

        return run

    kinds = WeightNoiseType
    return {
        "aihwkit": Contender("aihwkit, PCM_READ", tile(kinds.PCM_READ)),
        "aihwkit_constant": Contender(
            "aihwkit, the same noise in every cell", tile(kinds.ADDITIVE_CONSTANT), noisy=False
        ),
        "aihwkit_quiet": Contender("aihwkit, no read noise", tile(kinds.NONE), noisy=False),
    }


def spread(run: Callable[[Array], Array], w: Array, x: Array) -> float:
    """Standard deviation of the products of repeated inputs over that of the closed form,

    w_noise^2 sum_i |w_ij| x_i^2 + step^2 / 12,  as a root mean square over all outputs.
    """
    y = run(np.repeat(x, N_REPEATS, axis=0)).reshape(len(x), N_REPEATS, N).astype(np.float64)
    codes = np.rint(x * TOP) / TOP
    return float(np.sqrt(np.mean(y.var(axis=1, ddof=1) / (W_NOISE**2 * codes**2 @ np.abs(w) + STEP**2 / 12))))


def main() -> None:
    draw = np.random.default_rng(0)
    w = draw.uniform(-0.5, 0.5, (N, N)).astype(np.float32)
    x = draw.uniform(-1, 1, (BATCH, N)).astype(np.float32)
    everybody = {"ours": ours(w), "gemm": gemm(w), "torch": pytorch(w)}
    missing = ""
    try:
        everybody |= aihwkit(w)
    except ImportError as error:
        missing = f"aihwkit: not installed ({error}); the rival is PyTorch doing the same arithmetic"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    numba.set_num_threads(1)
    with threadpool_limits(1):
        for contender in everybody.values():
            contender.run(x)  # compiles
        for _ in range(ROUNDS):
            for contender in everybody.values():
                contender.take_turn(x)
        result: dict[str, float | None] = {"ratio_aihwkit": None, "statistics_aihwkit": None}
        mine = float(np.median(everybody["ours"].seconds))
        columns = f"{'best':>8} {'median':>8} {'/ ours':>8} {'std':>8}"
        print(f"{f'CPU ms for {BATCH} products of {N} x {N}, one thread':48} {columns}")
        for key, c in everybody.items():
            median = float(np.median(c.seconds))
            line = f"{c.label:48} {min(c.seconds) * 1e3:8.3f} {median * 1e3:8.3f} {median / mine:8.2f}"
            if key != "ours":
                result[f"ratio_{key}"] = median / mine
            if c.noisy:
                name = "statistics" if key == "ours" else f"statistics_{key}"
                result[name] = spread(c.run, w, x[:N_INPUTS])
                line += f" {result[name]:8.4f}"
            print(line)
    if missing:
        print(missing)
    result["statistics_error"] = float(np.sqrt(0.5 / (N_INPUTS * N * (N_REPEATS - 1))))
    print(
        f"std: of the noise over the closed form, 1 with a standard error of {result['statistics_error']:.4f}"
    )
    print(json.dumps({k: v if v is None else round(v, 4) for k, v in sorted(result.items())}))


if __name__ == "__main__":
    main()
