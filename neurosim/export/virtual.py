"""A virtual chip: a design made by a technology with all its errors, and what a tester reads of it."""

import numpy as np
import numpy.typing as npt

from neurosim import rng
from neurosim.cards import load_device
from neurosim.device import Cells, DeviceConfig, chord, make_cells, slow_steps
from neurosim.export.design import Design
from neurosim.export.measured import Measured


def virtual_chip(
    design: Design, device: DeviceConfig, *, seed: int, times: npt.ArrayLike = (0.0,)
) -> Measured:
    """Make all cells of a design's tiles, spare ones too, and read them.

    Cells that are programmed get their targets, spare ones the low end of the window; cells that are formed
    get the forming pulse where the design's mask says so.

    Args:
        design: What is made.
        device: The technology and its treatment, which may differ from the design's in every way.
        seed: Seed of the chip (streams ``made/tile<k>/...``); another one is another chip.
        times: Times of the reads [s], rising.

    Raises:
        NeurosimError: If the card cannot do what ``device`` or the design asks for.

    Assumes: see `make_cells`; a tester reads each cell alone at the macro's read voltage.
    Source: the cards.
    """
    times = np.asarray(times, np.float64)
    layout, v_read = design.layout, design.chip.crossbar.macro.v_read.value
    target = layout.on_tiles(design.target, np.nan)
    forming = layout.on_tiles(design.formed, True)
    reads = np.empty((len(times), *target.shape), np.float32)
    for k in range(layout.n_tiles):
        name = f"made/tile{k}"
        cells = _made(device, target[k], forming[k], seed=seed, name=name)
        bend = np.ones_like(cells.g)
        if cells.card.forming is not None:  # cells that are programmed were verified at the read voltage
            bend = chord(cells.card, cells.g, v_read, device.v_nonlinear)
        white = rng.stream(seed, f"{name}/tester")
        slow = slow_steps(cells.card, cells.g.shape, times, seed=seed, name=name)
        for i, y in enumerate(slow):
            xi = white.standard_normal(cells.g.shape, np.float32)
            g = cells.g + cells.sigma_slow * y + cells.sigma_white * xi
            reads[i, k] = np.maximum(g * bend, 0)
    return Measured(times - times[0], reads)


def _made(
    device: DeviceConfig,
    target: npt.NDArray[np.float32],
    forming: npt.NDArray[np.bool_],
    *,
    seed: int,
    name: str,
) -> Cells:
    """Cells of one tile; a target of NaN is a spare cell."""
    card = load_device(device.card)
    low = np.float32(card.conductance.g_min.value)
    if card.forming is None:
        aim = np.where(np.isnan(target), low, target)
        return make_cells(device, target.shape, seed=seed, name=name, target=aim)
    cells = make_cells(device, target.shape, seed=seed, name=name)
    off = ~forming & (cells.g > 0)
    cells.g[off], cells.formed[off] = low, False
    cells.sigma_white[off], cells.sigma_slow[off] = 0, 0
    return cells
