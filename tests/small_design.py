"""A design of a few neurons on a small tile, quick to make, write and read."""

import tempfile
from functools import cache
from pathlib import Path

from neurosim.cards import load_macro
from neurosim.experiment import Experiment, Prepared, load_experiment, prepare
from neurosim.export.design import Design, make_design
from neurosim.fit import write_card

SETTINGS = [
    *("data.train.n=200", "data.validation.n=50", "data.test.n=50", "chips=1", "name=small"),
    *(
        "reservoir.n_patches=",
        "reservoir.topology=sparse",
        "reservoir.n_neurons=16",
        "reservoir.p_connect=0.02",
    ),
    *("reservoir.p_recurrent=0.25", "reservoir.states.pool=1", "reservoir.frac_excitatory=0.75"),
    *("reservoir.homeostasis.n_iterations=4", "reservoir.homeostasis.n_recordings=50", "readout.kind=ridge"),
    *("events.crop=16", "events.n_steps=20", "reservoir.states.pool=1"),
]
ROWS, COLS = 24, 40  # of a tile: 15 rows of 32 lines are in use


@cache
def small_macro_of(rows: int, cols: int) -> str:
    """Path of a macro card of a tile of that size."""
    card = load_macro("rram_40nm_256kb")
    lines = [line.model_copy(update={"value": n}) for line, n in ((card.rows, rows), (card.cols, cols))]
    path = Path(tempfile.mkdtemp()) / "small_macro.toml"
    small = {"name": "small_macro", "rows": lines[0], "cols": lines[1]}
    write_card(card.model_copy(update=small), path)
    return str(path)


def small_macro() -> str:
    return small_macro_of(ROWS, COLS)


def small_experiment(*overrides: str) -> Experiment:
    return load_experiment("demo", [*SETTINGS, f"array.macro={small_macro()}", *overrides])


@cache
def small_recordings() -> Prepared:
    return prepare(small_experiment())


@cache
def small_design(*overrides: str, quantised: bool = False) -> Design:
    """The design of an experiment with other settings; they must leave the recordings alone."""
    return make_design(
        small_experiment(*overrides), prepared=small_recordings(), n_vectors=4, quantised=quantised
    )
