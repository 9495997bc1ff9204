"""How a crossbar of pairs is laid out on macros."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurosim.cards import MacroCard
from neurosim.errors import CardError

Pairs = Literal["adjacent", "separate"]


@dataclass(frozen=True)
class Tiling:
    """Layout of a (rows, cols) crossbar of pairs in equal blocks.

    Attributes:
        row_groups: Parts that every column is cut into; their sums are added digitally.
        col_groups: Parts that every row is cut into.
        block: Rows and pairs of the largest block.
        blocks: Blocks that one macro has room for, one above and one beside the other.
        cells: Cells in use, two per pair.
        tile_cells: Cells of one macro.
        arrays: Arrays that a block stands in: 1 with G+ and G- on neighbouring columns, 2 with an array each.
    """

    row_groups: int
    col_groups: int
    block: tuple[int, int]
    blocks: tuple[int, int]
    cells: int
    tile_cells: int
    arrays: int = 1

    @property
    def blocks_per_tile(self) -> int:
        """Blocks that one macro has room for."""
        return self.blocks[0] * self.blocks[1]

    @property
    def n_tiles(self) -> int:
        """Macros needed."""
        return self.arrays * -(-self.row_groups * self.col_groups // self.blocks_per_tile)

    @property
    def utilisation(self) -> float:
        """Share of the macros' cells in use [1]."""
        return self.cells / (self.n_tiles * self.tile_cells)


def tile(shape: tuple[int, int], macro: MacroCard, pairs: Pairs = "adjacent") -> Tiling:
    """Lay a crossbar of pairs out on macros.

    The crossbar is cut into row_groups x col_groups equal blocks and a macro takes as many whole blocks as
    stand above and beside each other in it,

        n_tiles = ceil(row_groups col_groups / ((rows // block_rows) (cols // 2 block_pairs)))

    for adjacent pairs; separate ones have arrays twice as wide, and two of each.

    Among all cuts the one is taken that fits one macro; where none or several do, the one with the fewest row
    groups (each costs a conversion and an addition per column and read), then tiles, then column groups.

    Args:
        shape: Rows and columns of pairs.
        macro: Macro card.
        pairs: ``adjacent``: a pair takes two neighbouring columns of cells. ``separate``: one column in each
            of two arrays.

    Raises:
        CardError: If the macro has no room for a pair.

    Assumes: each block is read in its own step, with the word lines of its own rows; blocks are not cut
        again to fill what they leave free.
    Source: choice.
    """
    arrays = 2 if pairs == "separate" else 1
    height, width = macro.rows.value, macro.cols.value * arrays // 2
    if width == 0:
        raise CardError(
            f"macro card '{macro.name}': cols = 1 has no room for a differential pair; use 2 or more"
        )
    rows, cols = shape
    cells, tile_cells = 2 * rows * cols, height * macro.cols.value
    layouts = (
        Tiling(-(-rows // h), -(-cols // w), (h, w), (height // h, width // w), cells, tile_cells, arrays)
        for h in _part_sizes(rows, height)
        for w in _part_sizes(cols, width)
    )
    return min(layouts, key=lambda x: (x.n_tiles > arrays, x.row_groups, x.n_tiles, x.col_groups))


def _part_sizes(n: int, largest: int) -> list[int]:
    """Sizes, none above ``largest``, that n lines have when cut into some number of equal parts."""
    sizes = np.unique(-(-n // np.arange(1, n + 1)))
    return [int(size) for size in sizes if size <= largest]
