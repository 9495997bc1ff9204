"""Where the cells of a crossbar of pairs stand on the tiles of a macro."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from neurosim.array import Tiling
from neurosim.cards import MacroCard

Index = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Role = npt.NDArray[np.uint8]

SIDES = (1, -1)  # of G+ and G-, in the order of the first axis of all arrays of cells


@dataclass(frozen=True, eq=False)
class Layout:
    """Place of every cell.

    The first axis of the arrays is 0 for G+ and 1 for G-, the others are those of the crossbar of pairs.

    Attributes:
        n_tiles: Tiles.
        shape: Word and bit lines of a tile.
        tile, row, col: int32 (2, rows, cols), tile, word line and bit line of every cell.
        dead_rows, dead_cols: bool (n_tiles, lines), word and bit lines that were given up.
    """

    n_tiles: int
    shape: tuple[int, int]
    tile: Index
    row: Index
    col: Index
    dead_rows: Mask
    dead_cols: Mask

    @property
    def roles(self) -> tuple[Role, Role]:
        """Of word and of bit lines, (n_tiles, lines): 0 spare, 1 in use, 2 dead."""
        roles = []
        for n, line, dead in zip(
            self.shape, (self.row, self.col), (self.dead_rows, self.dead_cols), strict=True
        ):
            role = np.zeros((self.n_tiles, n), np.uint8)
            role[self.tile, line] = 1
            role[dead] = 2
            roles.append(role)
        return roles[0], roles[1]

    def on_tiles(self, cells: npt.NDArray[Any], fill: float) -> npt.NDArray[Any]:
        """Values (2, rows, cols) in their places, (n_tiles, *shape); ``fill`` where no cell is in use."""
        tiles = np.full((self.n_tiles, *self.shape), fill, cells.dtype)
        tiles[self.tile, self.row, self.col] = cells
        return tiles

    def of_cells(self, tiles: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values (..., 2, rows, cols) that stand in their places on tiles (..., n_tiles, *shape)."""
        return np.asarray(tiles[..., self.tile, self.row, self.col])

    @property
    def used(self) -> Mask:
        """Whether a cell of a tile is in use, (n_tiles, *shape)."""
        return np.asarray(self.on_tiles(np.ones(self.tile.shape, np.bool_), False), np.bool_)

    @property
    def pairs(self) -> tuple[Index, npt.NDArray[np.int8]]:
        """For every cell of every tile its pair, -1 where it is not in use, and its side: 1, -1 or 0."""
        shape = self.tile.shape
        pair = np.broadcast_to(np.arange(shape[1] * shape[2], dtype=np.int32).reshape(shape[1:]), shape)
        side = np.broadcast_to(np.array(SIDES, np.int8)[:, None, None], shape)
        return self.on_tiles(pair, -1).astype(np.int32), self.on_tiles(side, 0).astype(np.int8)

    def moved(self, rows: Index, cols: Index, dead_rows: Mask, dead_cols: Mask) -> Self:
        """The layout with lines exchanged for others.

        Args:
            rows: int32 (n_tiles, shape[0]), word line that stands in for each.
            cols: int32 (n_tiles, shape[1]), the same for bit lines.
            dead_rows, dead_cols: Lines that are given up.
        """
        row, col = rows[self.tile, self.row], cols[self.tile, self.col]
        return replace(self, row=row, col=col, dead_rows=dead_rows, dead_cols=dead_cols)


def lay_out(shape: tuple[int, int], tiles: Tiling, macro: MacroCard) -> Layout:
    """Places of the cells of a crossbar.

    Block k of the layout stands on tile k // blocks_per_tile; the blocks of a tile fill it downwards, then
    across. With adjacent pairs G+ and G- are neighbours; with separate ones they have the same place on the
    even and the odd tile of two.

    Args:
        shape: Rows and columns of pairs.
        tiles: How they are cut.
        macro: Macro card.
    """
    place = np.empty((3, 2, *shape), np.int32)
    height, width = tiles.block
    for k, (i, j) in enumerate(product(range(tiles.row_groups), range(tiles.col_groups))):
        number, slot = divmod(k, tiles.blocks_per_tile)
        across, down = divmod(slot, tiles.blocks[0])
        rows = slice(i * height, min((i + 1) * height, shape[0]))
        cols = slice(j * width, min((j + 1) * width, shape[1]))
        row = down * height + np.arange(rows.stop - rows.start)[:, None]
        col = across * width + np.arange(cols.stop - cols.start)
        for side in range(2):
            apart = tiles.arrays == 2
            place[0, side, rows, cols] = 2 * number + side if apart else number
            place[1, side, rows, cols] = row
            place[2, side, rows, cols] = col if apart else 2 * col + side
    lines = macro.rows.value, macro.cols.value
    alive = [np.zeros((tiles.n_tiles, n), np.bool_) for n in lines]
    return Layout(tiles.n_tiles, lines, *place, *alive)
