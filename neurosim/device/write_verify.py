"""Closed-loop programming: read, pulse, read again, until a cell is in its band or its tries are used up."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from neurosim import rng
from neurosim.cards import DeviceCard
from neurosim.counter import normal
from neurosim.device.ageing import relax
from neurosim.device.conductance import check_window
from neurosim.device.config import WriteVerifyConfig
from neurosim.device.noise import read_noise
from neurosim.device.pulses import PulsedCells, check_pulses, pulse, pulsed_cells, switching
from neurosim.errors import ExperimentError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Programmed:
    """Cells after write-verify; every array has the shape of the targets.

    Attributes:
        g: float32 [S], conductance at the end.
        error: float32 [S], g - target, without read noise.
        n_pulses: int64, pulses.
        n_reads: int64, reads.
        energy: float64 [J], dissipated by pulses and reads.
        time: float64 [s], of pulses and reads.
        failed: bool, whether the last read lay outside the band.
    """

    g: npt.NDArray[np.float32]
    error: npt.NDArray[np.float32]
    n_pulses: npt.NDArray[np.int64]
    n_reads: npt.NDArray[np.int64]
    energy: Array
    time: Array
    failed: npt.NDArray[np.bool_]

    def summary(self, writing: Literal["serial", "row"] = "serial") -> dict[str, float]:
        """What the procedure reached and what it cost.

        Args:
            writing: ``serial``: one cell after the other. ``row``: the cells of a row (the last axis) at
                once, each with pulses of its own, until the slowest is done.

        Returns:
            ``error_mean`` and ``error_sigma`` [S] of the cells that did not fail (0 where all did); fraction
            ``failed``; ``pulses`` and ``reads`` of the mean cell; total ``energy`` [J] and ``time`` [s].
        """
        error = self.error[~self.failed].astype(np.float64)
        time = self.time.max(axis=-1) if writing == "row" else self.time
        return {
            "error_mean": float(error.mean()) if error.size else 0.0,
            "error_sigma": float(error.std()) if error.size else 0.0,
            "failed": float(self.failed.mean()),
            "pulses": float(self.n_pulses.mean()),
            "reads": float(self.n_reads.mean()),
            "energy": float(self.energy.sum()),
            "time": float(time.sum()),
        }


class Scheme(NamedTuple):
    """The procedure in numbers; arrays are float64 (2,): RESET and SET.

    Attributes:
        v_start: First amplitudes [V].
        v_step: How much the next is higher [V].
        v_max: Highest amplitudes [V].
        v_line: Voltages that drive the current [V]; 0: the amplitude.
        width: First duration [s].
        width_factor: How much longer the next is [1].
        width_max: Longest duration [s].
        max_pulses: Pulses of a pass.
        max_reversals: Changes of direction of a pass.
        reads: Reads whose mean is compared.
        v_read: Read voltage [V].
        t_read: Duration of a read [s].
    """

    v_start: Array
    v_step: Array
    v_max: Array
    v_line: Array
    width: float
    width_factor: float
    width_max: float
    max_pulses: int
    max_reversals: int
    reads: int
    v_read: float
    t_read: float


def write_verify(
    card: DeviceCard,
    target: npt.ArrayLike,
    config: WriteVerifyConfig,
    *,
    seed: int,
    name: str,
    extrapolate: bool = False,
) -> Programmed:
    """Program cells, from their low bounds on, to their targets.

    A cell is accepted when |G_read - target| <= tolerance + tolerance_relative target; else it gets a pulse
    towards the target. Each further pulse of one direction is v_step higher, up to v_max, and width_factor
    times longer, up to the card's width_max; a change of direction starts over. A cell fails after
    max_pulses, or at one change of direction more than max_reversals. Every further pass lets all cells relax
    for t_wait, then verifies and corrects them again.

        energy of a pulse = V^2 w (G_before + G_after)/2, of a read = v_read^2 t_read G

    Args:
        card: Device card.
        target: Wanted conductances [S], any shape.
        config: The procedure.
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``; a chip's cells are the same under every procedure.
        extrapolate: Allow targets, pulses and waits that the card does not back.

    Raises:
        ExperimentError: If the card has no ``[switching]``, or steps are asked of identical pulses.
        OutOfRangeError: If a target, an amplitude, a duration or t_wait leaves the card's range.

    Assumes: verify noise as large as at the target and new at every read; the whole line voltage across the
        cell, which bounds the energy from above; converters and drivers cost nothing here; reads disturb
        nothing; a wait relaxes every cell like a freshly programmed one.
    Source: the procedure is program_increment of github.com/weierwan/Neurram_48core, control code of Wan et
        al. 2022 (doi:10.1038/s41586-022-04992-8), there with steps of 0.1 V, 1 us and 1 uS; for pulses see
        `neurosim.device.pulses`.
    """
    scheme = _scheme(card, config, extrapolate=extrapolate)
    wanted = np.asarray(target, np.float32)
    check_window(card, wanted, extrapolate=extrapolate)
    flat = wanted.ravel().astype(np.float64)
    cells = pulsed_cells(card, flat.size, seed=seed, name=name)
    noise = np.hypot(*read_noise(card, wanted.ravel(), wanted.ravel(), 0.0, sigma_read=config.sigma_read))
    sigma = noise.astype(np.float64) / math.sqrt(scheme.reads)
    band = config.tolerance + config.tolerance_relative * flat
    g = cells.bounds[0].copy()
    passes = []
    for number in range(config.passes):
        if number:
            random = rng.stream(seed, f"{name}/wait/{number}")
            g = relax(card, g, wanted.ravel(), config.t_wait, random, extrapolate=extrapolate).astype(
                np.float64
            )
        key = rng.key(seed, f"{name}/write_verify/{number}")
        passes.append(program_cells(key, cells, scheme, flat, band, sigma, g))
    n_pulses, n_reads, energy, time, failed = (np.array(each) for each in zip(*passes, strict=True))
    final = g.astype(np.float32).reshape(wanted.shape)
    return Programmed(
        g=final,
        error=final - wanted,
        n_pulses=n_pulses.sum(axis=0).reshape(wanted.shape),
        n_reads=n_reads.sum(axis=0).reshape(wanted.shape),
        energy=energy.sum(axis=0).reshape(wanted.shape),
        time=time.sum(axis=0).reshape(wanted.shape),
        failed=failed[-1].reshape(wanted.shape),
    )


def programming_curve(
    card: DeviceCard,
    config: WriteVerifyConfig,
    target: npt.ArrayLike,
    tolerances: npt.ArrayLike,
    *,
    seed: int,
    name: str,
    writing: Literal["serial", "row"] = "serial",
) -> list[dict[str, float]]:
    """What a tolerance costs: one `Programmed.summary` for each, with its ``tolerance`` [S] and ``yield``.

    Args:
        card: Device card.
        config: The procedure, whose own tolerance is replaced.
        target: Wanted conductances [S], any shape.
        tolerances: Half-widths of the band [S].
        seed: Seed of the experiment.
        name: Stream prefix, e.g. ``"chip0/pos"``; the cells are the same at every tolerance.
        writing: See `Programmed.summary`.

    Raises:
        ExperimentError: See `write_verify`.
        OutOfRangeError: See `write_verify`.

    Assumes: see `write_verify`.
    Source: see `write_verify`.
    """
    rows = []
    for tolerance in np.asarray(tolerances, np.float64).tolist():
        procedure = config.model_copy(update={"tolerance": tolerance, "tolerance_relative": 0.0})
        summary = write_verify(card, target, procedure, seed=seed, name=name).summary(writing)
        rows.append({"tolerance": tolerance, "yield": 1 - summary["failed"], **summary})
    return rows


def _scheme(card: DeviceCard, config: WriteVerifyConfig, *, extrapolate: bool) -> Scheme:
    """The card's and the experiment's constants together, checked."""
    section = switching(card)
    laws = (section.reset, section.set)
    if config.v_step is not None and not all(law.v_step for law in laws):
        raise ExperimentError(
            f"device.write_verify.v_step = {config.v_step:g} V, but the pulses of device card '{card.name}' "
            "are identical; remove v_step or choose a card with v_on"
        )
    starts, ends = (config.v_reset_start, config.v_set_start), (config.v_reset_max, config.v_set_max)
    v_start = [law.v_start.value if v is None else v for law, v in zip(laws, starts, strict=True)]
    v_max = [(law.v_max or law.v_start).value if v is None else v for law, v in zip(laws, ends, strict=True)]
    steps = [law.v_step.value if law.v_step else 0.0 for law in laws]
    width = section.width.value if config.width is None else config.width
    width_max = section.width_max.value if section.width_max else width * config.width_factor
    amplitudes = np.array([v_start, v_max]) * [-1, 1]
    check_pulses(
        card, amplitudes, (width, width_max) if config.width_factor > 1 else (width,), extrapolate=extrapolate
    )
    return Scheme(
        v_start=np.array(v_start),
        v_step=np.array(steps if config.v_step is None else [config.v_step] * 2),
        v_max=np.array(v_max),
        v_line=np.array([law.v_line.value if law.v_line else 0.0 for law in laws]),
        width=width,
        width_factor=config.width_factor,
        width_max=width_max,
        max_pulses=config.max_pulses,
        max_reversals=config.max_reversals,
        reads=config.reads,
        v_read=config.v_read,
        t_read=config.t_read,
    )


@njit(cache=True, error_model="numpy")
def program_cell(
    key: int, cells: PulsedCells, i: int, scheme: Scheme, target: float, band: float, sigma: float, g: float
) -> tuple[float, int, int, float, float, bool]:
    """One pass over cell ``i``; see `write_verify`.

    Args:
        key: Key of the stream.
        cells: See `PulsedCells`.
        i: Number of the cell.
        scheme: See `Scheme`.
        target: Wanted conductance [S].
        band: Accepted deviation [S].
        sigma: Noise of a verification [S].
        g: Conductance before [S].

    Returns:
        Conductance [S], pulses, reads, energy [J], time [s], and whether the last read lay outside the band.
    """
    up, reversals, n, reads = -1, 0, 0, 0
    v, width, energy, time = 0.0, 0.0, 0.0, 0.0
    while True:
        draw = 2 * (i * (scheme.max_pulses + 1) + n)
        seen = g + sigma * normal(key, draw) if sigma > 0 else g
        reads += scheme.reads
        energy += scheme.reads * scheme.v_read**2 * scheme.t_read * g
        time += scheme.reads * scheme.t_read
        if abs(seen - target) <= band:
            return g, n, reads, energy, time, False
        wanted = 1 if seen < target else 0
        if wanted == up:
            v = min(v + scheme.v_step[up], scheme.v_max[up])
            width = min(width * scheme.width_factor, scheme.width_max)
        else:
            reversals += up >= 0
            up, width = wanted, scheme.width
            v = min(scheme.v_start[up], scheme.v_max[up])
        if n == scheme.max_pulses or reversals > scheme.max_reversals:
            return g, n, reads, energy, time, True
        before = g
        g = pulse(cells, i, up, g, v, width, key, draw + 1)
        drive = scheme.v_line[up] if scheme.v_line[up] > 0 else v
        energy += drive**2 * width * (before + g) / 2
        time += width
        n += 1


@njit(cache=True, parallel=True, error_model="numpy")
def program_cells(
    key: int, cells: PulsedCells, scheme: Scheme, target: Array, band: Array, sigma: Array, g: Array
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array, Array, npt.NDArray[np.bool_]]:
    """`program_cell` on every cell; arrays are float64 (n_cells,), and ``g`` [S] is changed in place."""
    n_pulses, n_reads = np.empty(len(g), np.int64), np.empty(len(g), np.int64)
    energy, time, failed = np.empty(len(g)), np.empty(len(g)), np.empty(len(g), np.bool_)
    for i in prange(len(g)):
        g[i], n_pulses[i], n_reads[i], energy[i], time[i], failed[i] = program_cell(
            key, cells, i, scheme, target[i], band[i], sigma[i], g[i]
        )
    return n_pulses, n_reads, energy, time, failed
