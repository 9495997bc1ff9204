"""What the ends of the columns see of the cells, through wires and a current that bends with the voltage."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from neurosim.array.tiles import Tiling
from neurosim.array.wires import Wires, effective_conductance, read_noise_transfer
from neurosim.cards import MacroCard
from neurosim.config import StrictModel
from neurosim.errors import OutOfRangeError

Array = npt.NDArray[np.float32]
# I/(G V) of cells of conductance G at voltage V, arrays of one shape
Chord = Callable[[Array, Array], Array]

CHORD_STEPS = 30
CHORD_TOLERANCE = 1e-6


class WiresConfig(StrictModel):
    """Resistance of a macro's wires; None takes the macro card's own value, and 0 where it has none.

    Attributes:
        r_wire_row, r_wire_col: A segment of a word line, and of a bit line [ohm].
        r_source, r_sense: In series with a row driver, and with a column's sense amplifier [ohm].
        drive: Whether word lines are driven from ``one`` end or from ``both``.
        rows_off: A row that is not driven is cut off by its transistors (``gated``, 1T1R) or held at 0 V
            (``grounded``, passive arrays).
        activity: Share of the rows that a read drives, at which ``gated`` rows are taken [1].
    """

    r_wire_row: float | None = Field(default=None, ge=0, le=1e4)
    r_wire_col: float | None = Field(default=None, ge=0, le=1e4)
    r_source: float | None = Field(default=None, ge=0, le=1e6)
    r_sense: float | None = Field(default=None, ge=0, le=1e6)
    drive: Literal["one", "both"] = "one"
    rows_off: Literal["gated", "grounded"] = "gated"
    activity: float = Field(default=0.05, gt=0, le=1)

    @model_validator(mode="after")
    def _gated(self) -> Self:
        if self.rows_off == "grounded" and "activity" in self.model_fields_set:
            raise ValueError(
                "activity belongs to rows_off = 'gated'; grounded rows are exact at any activity"
            )
        return self

    def resistances(self, macro: MacroCard) -> Wires:
        """The wires, with the macro card's numbers in place of None."""

        def ohm(name: str) -> float:
            own, card = getattr(self, name), getattr(macro, name)
            return float(own if own is not None else card.value if card else 0.0)

        return Wires(ohm("r_wire_row"), ohm("r_wire_col"), ohm("r_source"), ohm("r_sense"), drive=self.drive)


@dataclass(frozen=True, eq=False)
class Seen:
    """Cells as they are seen from the ends of their columns.

    A cell that moves from G to G' is seen, to first order, as  g + gain (G' - G).

    Attributes:
        g: float32 (rows, cols), effective conductance [S].
        gain: float32 (rows, cols) [1].
    """

    g: Array
    gain: Array

    def moved(self, change: Array) -> Array:
        """What is seen after the cells changed by ``change`` [S], not below 0 or where it was below."""
        g: Array = np.maximum(self.g + self.gain * change, np.minimum(self.g, 0))
        return g


def see_pairs(
    pos: Array, neg: Array, tiles: Tiling, macro: MacroCard, wires: WiresConfig | None, chord: Chord | None
) -> tuple[Seen, Seen]:
    """G+ and G- of a crossbar as its converters see them.

    Every block of the layout is a network of its own, in its place on the tile: a bit line runs from the
    block past the blocks nearer to the converters, a word line past those nearer to the drivers.

    Args:
        pos, neg: Conductances of the cells [S], (rows, cols of pairs).
        tiles: Their layout; with one array a block's lines are +, -, +, -, ... across.
        macro: Macro card.
        wires: Resistances; None: none.
        chord: I/(G V) of a cell where the current is not proportional to the voltage.

    Assumes: blocks of one tile are read one after another and the cells of the others are off; every column
        ends at a virtual ground while its block is read; word lines driven from both ends pass other blocks
        without loss.
    Source: Kirchhoff's laws, see ``array/wires.py``; a curved I-V as the conductance of its chord at the
        voltage that reaches the cell when the wires' mean load is on.
    """
    if wires is None and chord is None:
        return Seen(pos, np.ones_like(pos)), Seen(neg, np.ones_like(neg))
    if wires is None:
        return _see(pos, macro, None, None, chord), _see(neg, macro, None, None, chord)
    lines = 2 if tiles.arrays == 1 else 1
    resistances = wires.resistances(macro)
    activity = wires.activity if wires.rows_off == "gated" else None
    seen = np.empty((4, *pos.shape), np.float32)  # g+, gain+, g-, gain-
    for rows, cols, above, before in _blocks(pos.shape, tiles):
        placed = replace(
            resistances,
            r_sense=resistances.r_sense + above * resistances.r_col,
            r_source=resistances.r_source + (before * lines * resistances.r_row) * (wires.drive == "one"),
        )
        if lines == 2:
            g = np.stack([pos[rows, cols], neg[rows, cols]], axis=2).reshape(pos[rows, cols].shape[0], -1)
            block = _see(g, macro, placed, activity, chord)
            seen[0, rows, cols], seen[2, rows, cols] = block.g[:, ::2], block.g[:, 1::2]
            seen[1, rows, cols], seen[3, rows, cols] = block.gain[:, ::2], block.gain[:, 1::2]
        else:
            for k, g in ((0, pos), (2, neg)):
                block = _see(g[rows, cols], macro, placed, activity, chord)
                seen[k, rows, cols], seen[k + 1, rows, cols] = block.g, block.gain
    return Seen(seen[0], seen[1]), Seen(seen[2], seen[3])


def _see(
    g: Array, macro: MacroCard, wires: Wires | None, activity: float | None, chord: Chord | None
) -> Seen:
    """Cells of one array through its wires."""
    v_read = np.float32(macro.v_read.value)
    bend = chord(g, np.full_like(g, v_read)) if chord else np.ones_like(g)
    if wires is None:
        return Seen(g * bend, bend)
    for _ in range(CHORD_STEPS if chord else 0):
        # the share of the read voltage that reaches a cell while its mean neighbours draw current, too
        bent = g * bend
        loaded = effective_conductance(bent, wires, activity=activity or 1.0)
        share = np.divide(loaded, bent, out=np.ones(g.shape), where=bent > 0)
        before, bend = bend, chord(g, v_read * share.astype(np.float32)) if chord else bend
        if np.max(np.abs(bend - before)) < CHORD_TOLERANCE:
            break
    else:
        if chord:
            raise OutOfRangeError(
                f"the current through wires and curved cells did not settle at v_read = {v_read:g} V; lower "
                "the wires' resistance or the read voltage"
            )
    linear = g * bend
    gain = bend * read_noise_transfer(linear, wires, activity=activity)
    return Seen(
        effective_conductance(linear, wires, activity=activity).astype(np.float32), gain.astype(np.float32)
    )


def _blocks(shape: tuple[int, int], tiles: Tiling) -> Iterator[tuple[slice, slice, int, int]]:
    """Rows and columns of every block, with the cells' rows and the pairs between it and its tile's edges."""
    height, width = tiles.block
    for k, (i, j) in enumerate(product(range(tiles.row_groups), range(tiles.col_groups))):
        across, down = divmod(k % tiles.blocks_per_tile, tiles.blocks[0])
        rows = slice(i * height, min((i + 1) * height, shape[0]))
        cols = slice(j * width, min((j + 1) * width, shape[1]))
        yield rows, cols, down * height, across * width
