"""Where cells stand on tiles: every cell once, in the place that the tiling's words say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from neurosim.array import tile
from neurosim.cards import MacroCard, load_macro
from neurosim.export.layout import Layout, lay_out


def macro(rows: int, cols: int) -> MacroCard:
    card = load_macro("rram_40nm_256kb")
    lines = {
        name: getattr(card, name).model_copy(update={"value": n})
        for name, n in (("rows", rows), ("cols", cols))
    }
    return card.model_copy(update=lines)


def layout(shape: tuple[int, int], rows: int, cols: int, pairs: str) -> Layout:
    card = macro(rows, cols)
    return lay_out(shape, tile(shape, card, pairs), card)  # type: ignore[arg-type]


SIZES = st.integers(1, 40), st.integers(1, 40), st.integers(2, 30), st.integers(2, 30)


@given(*SIZES, st.sampled_from(["adjacent", "separate"]))
def test_every_cell_has_a_place_of_its_own(rows: int, cols: int, height: int, width: int, pairs: str) -> None:
    found = layout((rows, cols), height, width, pairs)
    places = set(zip(found.tile.ravel(), found.row.ravel(), found.col.ravel(), strict=True))
    assert len(places) == 2 * rows * cols
    assert found.used.sum() == 2 * rows * cols
    assert found.tile.max() < found.n_tiles
    assert found.row.max() < height
    assert found.col.max() < width
    cells = np.random.default_rng(0).random((3, 2, rows, cols))
    tiles = np.stack([found.on_tiles(one, np.nan) for one in cells])
    assert_array_equal(found.of_cells(tiles), cells)
    assert np.isnan(tiles[0][~found.used]).all()
    pair, side = found.pairs
    assert_array_equal(side != 0, found.used)
    assert_array_equal(np.sort(pair[side > 0]), np.arange(rows * cols))
    assert_array_equal(np.sort(pair[side < 0]), np.arange(rows * cols))


def test_adjacent_pairs_are_neighbours_and_blocks_fill_a_tile_downwards() -> None:
    # 6 x 2 pairs on tiles of 4 x 8 cells: two row groups of 3 x 2 pairs, one beside the other
    found = layout((6, 2), 4, 8, "adjacent")
    assert found.n_tiles == 1
    assert_array_equal(found.col[1], found.col[0] + 1)
    assert_array_equal(found.row[0, :, 0], [0, 1, 2, 0, 1, 2])
    assert_array_equal(found.col[0, :, 0], [0, 0, 0, 4, 4, 4])
    rows, cols = found.roles
    assert_array_equal(rows, [[1, 1, 1, 0]])
    assert_array_equal(cols, [[1] * 8])


def test_separate_pairs_have_the_same_place_on_two_tiles() -> None:
    found = layout((3, 5), 4, 8, "separate")
    assert_array_equal(found.tile[0] + 1, found.tile[1])
    assert_array_equal(found.row[0], found.row[1])
    assert_array_equal(found.col[0], found.col[1])


@pytest.mark.parametrize("pairs", ["adjacent", "separate"])
def test_moved_lines_take_their_cells_along(pairs: str) -> None:
    found = layout((3, 2), 5, 8, pairs)
    rows = np.tile(np.array([4, 1, 2, 3, 0], np.int32), (found.n_tiles, 1))
    cols = np.tile(np.arange(8, dtype=np.int32), (found.n_tiles, 1))
    dead = np.zeros((found.n_tiles, 5), np.bool_)
    dead[:, 0] = True
    moved = found.moved(rows, cols, dead, np.zeros((found.n_tiles, 8), np.bool_))
    assert_array_equal(moved.row[:, 0], 4)
    assert_array_equal(moved.row[:, 1:], found.row[:, 1:])
    assert_array_equal(moved.roles[0], [[2, 1, 1, 0, 1]] * found.n_tiles)
