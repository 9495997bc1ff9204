"""A chip that was made, in the place of the simulated one: what it scores, and how to make the best of it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurosim import experiment as experiments
from neurosim.config import fingerprint
from neurosim.device import Cells
from neurosim.device.noise import read_noise
from neurosim.events.types import Binned
from neurosim.experiment import Prepared, Progress
from neurosim.export.design import Design, test_vectors
from neurosim.export.layout import Layout
from neurosim.export.measured import Measured
from neurosim.export.projection import Projection, projection_of
from neurosim.export.remap import DeadLines, find_dead, remap
from neurosim.readout import make_readout
from neurosim.reservoir import Chip
from neurosim.reservoir.states import Engine

Float = npt.NDArray[np.float32]

MIN_READS = 3  # from which the read noise of the cells is taken rather than that of the card


@dataclass(frozen=True, eq=False)
class Stage:
    """The chip after some repair.

    Attributes:
        name: ``as made``, ``remapped``, ``recalibrated`` or ``retrained``.
        n_correct: Right answers on the test part.
        rate: Mean firing rate on the test part [Hz].
    """

    name: str
    n_correct: int
    rate: float


@dataclass(frozen=True, eq=False)
class Readback:
    """What became of a design.

    Attributes:
        design: What was wanted.
        repaired: The design of the chip as it is: cells in their places after remapping with the conductances
            that were measured, its own thresholds and projection.
        measured: What was read.
        mean: float32 (n_tiles, rows, cols) [S], mean of the reads; NaN: not measured.
        dead: Lines that do not conduct.
        to_program: Cells that moved to spare lines and still have to be programmed.
        stages: One after the other; each keeps what the one before it repaired.
        n_test: Test recordings.
        differing_spikes: Spikes of the test vectors that the chip as made, without read noise, does not share
            with the design.
        same_run: Whether experiment and recordings are those of the exported run.
    """

    design: Design
    repaired: Design
    measured: Measured
    mean: Float
    dead: DeadLines
    to_program: int
    stages: tuple[Stage, ...]
    n_test: int
    differing_spikes: int
    same_run: bool

    @property
    def accuracy(self) -> dict[str, float]:
        """Share of right answers by stage."""
        return {stage.name: stage.n_correct / self.n_test for stage in self.stages}

    @property
    def errors(self) -> Float:
        """Measured less target conductance of the cells in use as they were planned [S]."""
        return self.design.layout.of_cells(self.mean) - self.design.target

    @property
    def programming(self) -> dict[str, float]:
        """Statistics of `errors` [S], and the share of cells within their tolerance [1]."""
        e = self.errors.astype(np.float64)
        tight = np.abs(e) <= self.design.tolerance + np.spacing(self.design.target)
        return {
            "cells": float(e.size),
            "mean": float(e.mean()),
            "sigma": float(e.std()),
            "median_absolute": float(np.median(np.abs(e))),
            "largest_absolute": float(np.abs(e).max()),
            "within_tolerance": float(tight.mean()),
        }


def read_back(
    design: Design,
    measured: Measured,
    *,
    data_dir: Path | None = None,
    prepared: Prepared | None = None,
    engine: Engine = "numba",
    progress: Progress | None = None,
) -> Readback:
    """Run a design's experiment with the cells of the chip that was made from it.

    In this order, each scored on the test part: the chip as made, with the design's thresholds and
    projection; dead lines given up for spare ones; converters and thresholds adapted again, without labels;
    the projection trained again, chosen by the validation part.

    Args:
        design: Of the chip's image.
        measured: Reads of its cells.
        data_dir: Folder of the data sets.
        prepared: Recordings of the experiment, from `prepare`; None loads them.
        engine, progress: See `run`.

    Raises:
        NeurosimError: If a data set is missing or the experiment is wrong.

    Assumes: the mean of the reads is the conductance; wires are as for the planned places; cells moved to
        spare lines of a technology that is programmed get their targets.
    """
    experiment = design.experiment
    prepared = prepared or experiments.prepare(experiment, data_dir=data_dir, progress=progress)
    same = fingerprint(experiments.resolve(experiment), prepared.content) == design.fingerprint
    binned = prepared.binned
    test, homeostasis = binned["test"], experiment.reservoir.homeostasis
    sample = binned["train"][: homeostasis.n_recordings if homeostasis else 200]
    mean = _mean(measured.g)
    stages: list[Stage] = []

    def score(name: str, chip: Chip, projection: Projection) -> None:
        states = _states(chip, test, "test", engine)
        n_correct = int((projection.predict(states.x) == test.labels).sum())
        rate = states.n_spikes.sum() / (len(test) * test.n_steps * test.dt * chip.liquid.wiring.n_neurons)
        stages.append(Stage(name, n_correct, float(rate)))

    chip, _ = chip_with(design, measured, mean, design.layout)
    vectors = test_vectors(chip, design.vectors.binned, design.projection)
    differing = int((vectors.spikes != design.vectors.spikes).sum())
    score("as made", chip, design.projection)

    dead = find_dead(design, mean)
    adjacent = design.chip.crossbar.tiles.arrays == 1
    layout = remap(design.layout, dead, ~np.isnan(mean), adjacent=adjacent)
    to_program = 0
    if not all(np.array_equal(getattr(layout, n), getattr(design.layout, n)) for n in ("row", "col")):
        chip, to_program = chip_with(design, measured, mean, layout)
        score("remapped", chip, design.projection)

    def adapting(done: int, total: int) -> None:
        if progress is not None:
            progress("homeostasis", done, total)

    chip = chip.calibrated(sample, progress=adapting)
    score("recalibrated", chip, design.projection)

    x = {part: _states(chip, binned[part], part, engine).x for part in ("train", "validation")}
    readout = make_readout(experiment.readout, seed=experiment.seed + chip.number)
    readout.fit(x["train"], binned["train"].labels, validation=(x["validation"], binned["validation"].labels))
    projection = projection_of(readout, x["train"], bits=design.projection.integer.bits)
    score("retrained", chip, projection)
    right = (projection.predict_integer(_states(chip, test, "test", engine).x) == test.labels).mean()
    repaired = replace(
        design,
        chip=chip,
        layout=layout,
        projection=projection,
        vectors=test_vectors(chip, design.vectors.binned, projection),
        quantised=False,
        levels=np.empty(0),
        accuracy={"simulated": stages[-1].n_correct / len(test), "integer": float(right)},
    )
    return Readback(
        design=design,
        repaired=repaired,
        measured=measured,
        mean=mean,
        dead=dead,
        to_program=to_program,
        stages=tuple(stages),
        n_test=len(test),
        differing_spikes=differing,
        same_run=same,
    )


def _states(chip: Chip, binned: Binned, part: str, engine: Engine) -> Any:
    return chip.states(binned, chip.reads(chip.liquid.config.n_reads), use=part, engine=engine)


def _mean(g: Float) -> Float:
    """Mean of the reads that there are, NaN where there is none."""
    known = ~np.isnan(g)
    total = np.where(known, g, 0).sum(axis=0, dtype=np.float64)
    mean: Float = (total / np.where(known.any(axis=0), known.sum(axis=0), np.nan)).astype(np.float32)
    return mean


def chip_with(design: Design, measured: Measured, mean: Float, layout: Layout) -> tuple[Chip, int]:
    """The design's chip with the cells that were measured, and how many still have to be programmed.

    From three reads on the read noise is the cells' own: its variance between neighbouring reads is white,
    the rest of the variance slow. Else it is the card's.

    Args:
        design: What is digital.
        measured: Reads.
        mean: Their mean [S].
        layout: Where the cells stand.
    """
    card, config = design.chip.crossbar.pos.card, design.experiment.device
    g = layout.of_cells(mean)
    moved = (layout.row != design.layout.row) | (layout.col != design.layout.col)
    if card.forming is not None:
        moved[:] = False
    g = np.where(moved, design.target, g)
    if len(measured.g) >= MIN_READS:
        white, slow = _noise(layout.of_cells(measured.g), slow=card.read_noise is not None)
    else:
        age = config.t_after_programming
        fraction = config.read_white_fraction
        white, slow = read_noise(card, g, g, age, sigma_read=config.sigma_read, white_fraction=fraction)
    formed = layout.of_cells(mean) > 0
    sides = [Cells(g[i], formed[i], white[i], slow[i], card) for i in range(2)]
    return design.chip.with_cells(*sides), int(moved.sum())


def _noise(g: Float, *, slow: bool) -> tuple[Float, Float]:
    """Standard deviations [S] of the white and the slow read noise of cells, from reads (n_reads, ...).

    A cell of which no two neighbouring reads are known has white noise alone, one that was read once none.
    """
    known = ~np.isnan(g)
    reads = np.where(known, g, _mean(g)).astype(np.float64)
    total = reads.var(axis=0) * len(g) / np.maximum(known.sum(axis=0) - 1, 1)
    if not slow:
        return np.sqrt(total).astype(np.float32), np.zeros(g.shape[1:], np.float32)
    both = known[1:] & known[:-1]
    steps = (np.diff(reads, axis=0) ** 2 * both).sum(axis=0) / (2 * np.maximum(both.sum(axis=0), 1))
    white = np.where(both.any(axis=0), np.minimum(steps, total), total)
    return np.sqrt(white).astype(np.float32), np.sqrt(total - white).astype(np.float32)
