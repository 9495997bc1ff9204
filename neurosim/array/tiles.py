"""How a crossbar of pairs is laid out on macros."""

from dataclasses import dataclass

import numpy as np

from neurosim.cards import MacroCard
from neurosim.errors import CardError


@dataclass(frozen=True)
class Tiling:
    """Layout of a (rows, cols) crossbar of pairs in equal blocks.

    Attributes:
        row_groups: Parts that every column is cut into; their sums are added digitally.
        col_groups: Parts that every row is cut into.
        block: Rows and pairs of the largest block.
        blocks_per_tile: Blocks that one macro has room for, one above and beside the other.
        cells: Cells in use, two per pair.
        tile_cells: Cells of one macro.
    """

    row_groups: int
    col_groups: int
    block: tuple[int, int]
    blocks_per_tile: int
    cells: int
    tile_cells: int

    @property
    def n_tiles(self) -> int:
        """Macros needed."""
        return -(-self.row_groups * self.col_groups // self.blocks_per_tile)

    @property
    def utilisation(self) -> float:
        """Share of the macros' cells in use [1]."""
        return self.cells / (self.n_tiles * self.tile_cells)


def tile(shape: tuple[int, int], macro: MacroCard) -> Tiling:
    """Lay a crossbar of pairs out on macros.

    The crossbar is cut into row_groups x col_groups equal blocks and a macro takes as many whole blocks as
    stand above and beside each other in it,

        n_tiles = ceil(row_groups col_groups / ((rows // block_rows) (cols // 2 block_pairs))).

    Among all cuts the one is taken that fits one macro; where none or several do, the one with the fewest row
    groups (each costs a conversion and an addition per column and read), then tiles, then column groups.

    Args:
        shape: Rows and columns of pairs; a pair takes two neighbouring columns of cells.
        macro: Macro card.

    Raises:
        CardError: If the macro has no room for a pair.

    Assumes: each block is read in its own step, with the word lines of its own rows; blocks are not cut
        again to fill what they leave free.
    Source: choice.
    """
    height, width = macro.rows.value, macro.cols.value // 2
    if width == 0:
        raise CardError(
            f"macro card '{macro.name}': cols = 1 has no room for a differential pair; use 2 or more"
        )
    rows, cols = shape
    cells, tile_cells = 2 * rows * cols, height * macro.cols.value
    layouts = (
        Tiling(-(-rows // h), -(-cols // w), (h, w), (height // h) * (width // w), cells, tile_cells)
        for h in _part_sizes(rows, height)
        for w in _part_sizes(cols, width)
    )
    return min(layouts, key=lambda x: (x.n_tiles > 1, x.row_groups, x.n_tiles, x.col_groups))


def _part_sizes(n: int, largest: int) -> list[int]:
    """Sizes, none above ``largest``, that n lines have when cut into some number of equal parts."""
    sizes = np.unique(-(-n // np.arange(1, n + 1)))
    return [int(size) for size in sizes if size <= largest]
