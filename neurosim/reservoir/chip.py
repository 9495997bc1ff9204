"""One chip: a crossbar that was formed and the liquid that runs on it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.array import (
    ArrayConfig,
    Crossbar,
    build_crossbar,
    differential,
    slow_reads,
    white_variance,
    with_cells,
)
from neurosim.device import Cells, DeviceConfig
from neurosim.events.types import Binned, Sensor
from neurosim.reservoir.calibration import calibrate_converters, clipped_share
from neurosim.reservoir.config import ReservoirConfig
from neurosim.reservoir.homeostasis import adapt_thresholds, firing_rates
from neurosim.reservoir.liquid import Liquid, build_liquid
from neurosim.reservoir.states import Engine, States, simulate_chips
from neurosim.reservoir.wiring import wire

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Chip:
    """A device instance.

    Attributes:
        number: Number of the instance; with ``seed`` it names all its random streams.
        seed: Seed of the experiment.
        crossbar: Its cells.
        liquid: The reservoir on them.
    """

    number: int
    seed: int
    crossbar: Crossbar
    liquid: Liquid

    def key(self, use: str) -> int:
        """Key of the white read noise in one use of the chip."""
        return rng.key(self.seed, f"chip{self.number}/read_noise/{use}")

    def firing_rates(self, binned: Binned) -> Float:
        """Mean firing rate of every neuron [Hz], float32 (n_neurons,)."""
        return firing_rates(self.liquid, binned, noise_key=self.key("homeostasis"))

    def calibrated(self, binned: Binned, *, progress: Callable[[int, int], None] | None = None) -> Self:
        """The chip after calibration of its converters and homeostasis, as its configs ask for.

        Args:
            binned: Unlabelled recordings.
            progress: Called with the number of passes of homeostasis done and that of all.
        """
        chip, crossbar = self, self.crossbar
        if crossbar.adc_bits and crossbar.adc is None:
            liquid = calibrate_converters(
                self.liquid, binned, crossbar.adc_bits, crossbar.adc_clip, noise_key=self.key("homeostasis")
            )
            chip = replace(self, liquid=liquid)
        return chip.readapted(binned, progress=progress)

    def readapted(self, binned: Binned, *, progress: Callable[[int, int], None] | None = None) -> Self:
        """The chip after homeostasis alone, its converters as they are; arguments as `calibrated`."""
        config, key = self.liquid.config.homeostasis, self.key("homeostasis")
        if config is None:
            return self
        return replace(
            self, liquid=adapt_thresholds(self.liquid, binned, config, noise_key=key, progress=progress)
        )

    def with_cells(self, pos: Cells, neg: Cells) -> Self:
        """The same chip with other cells (see `array.with_cells`); what is digital stays as it is.

        Where weights would leave their integers' range, all that is counted in their unit gets a larger one.
        """
        crossbar = with_cells(self.crossbar, pos, neg)
        liquid, dg = self.liquid, differential(crossbar)
        return replace(
            self,
            crossbar=crossbar,
            liquid=build_liquid(
                liquid.config,
                liquid.wiring,
                dg,
                dt=liquid.dt,
                seed=self.seed,
                chip=self.number,
                white_variance=white_variance(crossbar),
                like=liquid.with_room(dg),
            ),
        )

    def clipped_share(self, binned: Binned) -> float:
        """Share of the column currents, other than 0, that saturate the converters [1]."""
        return clipped_share(self.liquid, binned, noise_key=self.key("homeostasis"))

    def reads(self, n: int) -> Iterator[Float]:
        """G+ - G- [S] at ``n`` moments ``t_read_gap`` apart, slow read noise included."""
        if not self.liquid.config.read_noise:
            return (differential(self.crossbar) for _ in range(n))
        times = np.arange(n) * self.liquid.config.t_read_gap
        return slow_reads(self.crossbar, times, seed=self.seed, chip=self.number)

    def states(
        self,
        binned: Binned,
        reads: Iterator[Float],
        *,
        use: str,
        engine: Engine = "numba",
        progress: Callable[[int], None] | None = None,
    ) -> States:
        """States of all recordings, see `chip_states`."""
        states, *_ = chip_states([self], binned, [reads], use=use, engine=engine, progress=progress)
        return states


def chip_states(
    chips: Sequence[Chip],
    binned: Binned,
    reads: Sequence[Iterator[Float]],
    *,
    use: str,
    engine: Engine = "numba",
    progress: Callable[[int], None] | None = None,
) -> list[States]:
    """States of all recordings on every chip, of each chip the same as alone.

    The recordings are presented in ``n_reads`` equal parts and the slow read noise moves on between
    them; within a part it stands still.

    Args:
        chips: Device instances of one experiment.
        binned: Recordings.
        reads: Moments of every chip's crossbar; ``n_reads`` of each are taken.
        use: Name of the data part, for the white noise.
        engine: See ``simulate``.
        progress: Called with the number of recordings just finished by a chip.
    """
    n_reads = chips[0].liquid.config.n_reads
    edges = np.arange(n_reads + 1) * len(binned) // n_reads
    parts = [
        simulate_chips(
            [chip.liquid.reread(next(moments)) for chip, moments in zip(chips, reads, strict=True)],
            binned[start:stop],
            noise_keys=[chip.key(use) for chip in chips],
            engine=engine,
            first_recording=int(start),
            progress=progress,
        )
        for start, stop in pairwise(edges)
    ]
    return [
        States(np.concatenate([s.x for s in own]), np.concatenate([s.n_spikes for s in own]), None)
        for own in zip(*parts, strict=True)
    ]


def make_chip(
    reservoir: ReservoirConfig,
    device: DeviceConfig,
    array: ArrayConfig,
    *,
    sensor: Sensor,
    dt: float,
    seed: int,
    number: int = 0,
    like: Chip | None = None,
) -> Chip:
    """Form a chip and build the liquid that it makes.

    Args:
        reservoir, device, array: The three stages' configs.
        sensor: Pixel grid of the binned recordings.
        dt: Their time step [s].
        seed: Seed of the experiment.
        number: Number of the device instance.
        like: The same instance at another age, after calibration: its scalings, converters and thresholds are
            digital and stay as they are.
    """
    wiring = wire(reservoir, sensor, seed=seed, chip=number)
    crossbar = build_crossbar(array, device, wiring.shape, seed=seed, chip=number)
    liquid = build_liquid(
        reservoir,
        wiring,
        differential(crossbar),
        dt=dt,
        seed=seed,
        chip=number,
        white_variance=white_variance(crossbar),
        adc_step=crossbar.adc_step,
        adc_full_scale=crossbar.adc_full_scale,
        adc_errors=crossbar.adc_errors,
        like=like.liquid if like else None,
    )
    return Chip(number, seed, crossbar, liquid)
