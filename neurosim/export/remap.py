"""Dead lines: found in what was measured, and given up for spare ones."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from neurosim.export.design import Design
from neurosim.export.layout import Layout

Mask = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float32]

SILENT = 0.02  # of the median conductance that is expected
SHARE = 0.9  # of a dead line's cells that do not conduct
CHANCE = 5e-4  # of calling a good line of the chip dead, at either level


@dataclass(frozen=True, eq=False)
class DeadLines:
    """Lines that do not conduct.

    Attributes:
        rows: bool (n_tiles, rows), word lines.
        cols: bool (n_tiles, cols), bit lines.
    """

    rows: Mask
    cols: Mask


def find_dead(design: Design, g: Array) -> DeadLines:
    """Lines of which so many cells do not conduct that single cells' faults cannot explain it.

    Two levels are tried: 2 % of the median of what is expected, and half of the card's g_min, which even an
    unformed cell conducts. A cell counts if twice the level is expected of it; it is silent if it conducts
    less than the level. A line is dead if 90 % of its cells are silent and the binomial chance of so many, at
    the silent share of the median line, is below 5e-4 for all lines of its kind together.

    Args:
        design: Says what to expect: the targets, or the card's mean where cells are formed.
        g: float32 (n_tiles, rows, cols) [S], measured; NaN: not measured.

    Assumes: cells fail independently, lines as a whole.
    Source: binomial test with Bonferroni's correction.
    """
    expected, low = expectation(design), design.chip.crossbar.pos.card.conductance.g_min.value
    rows, cols = np.zeros(g.shape[:2], np.bool_), np.zeros(g.shape[::2], np.bool_)
    for level in (SILENT * float(np.median(expected[design.layout.used])), low / 2):
        counts = ~np.isnan(g) & (expected >= 2 * np.float32(level)) & (level > 0)
        silent = counts & (g < level)
        rows |= _dead(silent.sum(axis=2), counts.sum(axis=2))
        cols |= _dead(silent.sum(axis=1), counts.sum(axis=1))
    return DeadLines(rows, cols)


def expectation(design: Design) -> Array:
    """What cells of the tiles should conduct [S], spare ones too."""
    card, layout = design.chip.crossbar.pos.card, design.layout
    low = card.conductance.g_min.value
    if card.forming is None or card.conductance.g_mean is None:
        return np.asarray(layout.on_tiles(design.target, low))
    forming = layout.on_tiles(design.formed, True)
    return np.where(forming, card.conductance.g_mean.value, low).astype(np.float32)


def _dead(silent: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> Mask:
    """Which lines are dead, from the numbers of their silent cells and of all that count."""
    known = counts > 0
    share = np.divide(silent, counts, out=np.zeros(counts.shape), where=known)
    usual = float(np.clip(np.median(share[known]) if known.any() else 0.0, 1e-3, 0.5))
    chance = stats.binom.sf(silent - 1, counts, usual) * max(np.count_nonzero(known), 1)
    return np.asarray(known & (share >= SHARE) & (chance < CHANCE))


def remap(layout: Layout, dead: DeadLines, measured: Mask, *, adjacent: bool) -> Layout:
    """The layout with spare lines in place of dead ones, as far as there are any.

    Args:
        layout: Where the cells stand.
        dead: Dead lines.
        measured: bool (n_tiles, rows, cols), cells that were measured: a spare line needs all the cells that
            would be used.
        adjacent: Whether G+ and G- are neighbours, so that bit lines move by twos.
    """
    row_role, col_role = layout.roles
    rows = np.tile(np.arange(layout.shape[0], dtype=np.int32), (layout.n_tiles, 1))
    cols = np.tile(np.arange(layout.shape[1], dtype=np.int32), (layout.n_tiles, 1))
    for k in range(layout.n_tiles):
        step = 2 if adjacent else 1
        n = layout.shape[1] // step * step
        gone = dead.cols[k, :n].reshape(-1, step).any(axis=1)
        role = col_role[k, :n].reshape(-1, step)
        known = measured[k][row_role[k] == 1].all(axis=0)[:n].reshape(-1, step).all(axis=1)
        spare = np.flatnonzero((role == 0).all(axis=1) & ~gone & known)
        for old, new in zip(np.flatnonzero((role == 1).any(axis=1) & gone), spare, strict=False):
            for side in range(step):
                cols[k, old * step + side] = new * step + side
        in_use = np.unique(cols[k][col_role[k] == 1])
        known = measured[k][:, in_use].all(axis=1)
        free = np.flatnonzero((row_role[k] == 0) & ~dead.rows[k] & known)
        for old, new in zip(np.flatnonzero((row_role[k] == 1) & dead.rows[k]), free, strict=False):
            rows[k, old] = new
    moved_rows, moved_cols = rows != np.arange(rows.shape[1]), cols != np.arange(cols.shape[1])
    given_up = layout.dead_rows | moved_rows, layout.dead_cols | moved_cols
    spare_dead = (dead.rows & (row_role == 0)), (dead.cols & (col_role == 0))
    return layout.moved(rows, cols, given_up[0] | spare_dead[0], given_up[1] | spare_dead[1])
