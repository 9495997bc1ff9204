"""A small tile as a SPICE netlist, wires and all, for an independent check of its currents."""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neurosim import store
from neurosim.array.irdrop import WiresConfig
from neurosim.array.wires import Array, Wires, solve
from neurosim.errors import ExperimentError, MissingExtraError, OutOfRangeError, ShapeError

if TYPE_CHECKING:
    from neurosim.export.design import Design

MAX_CELLS = 64 * 64  # ngspice solves a few thousand nodes in seconds
CORNER = 32  # lines of the tile that an export cuts out


def netlist(
    g: npt.ArrayLike, v: npt.ArrayLike, wires: Wires, *, active: npt.ArrayLike | None = None, title: str = ""
) -> str:
    """SPICE of one read of a tile, the network of `neurosim.array.wires`.

    Word node (i, j) is ``w_i_j``, bit node ``b_i_j``, cell ``Rc_i_j``; the driver of row i is ``Vr_i`` behind
    node ``s_i``; column j ends in the 0 V source ``Vc_j``, whose current is the column's. Instead of a
    resistance of 0 stands a 0 V source; cells of 0 S and rows that are not active are left out. It prints the
    operating point by column, and is plain SPICE but for the ``.control`` block, which is ngspice's.

    Args:
        g: Conductances [S], (rows, cols), 0 or more.
        v: Voltages of the row drivers [V], (rows,).
        wires: Resistances.
        active: bool (rows,), rows that gated word lines (1T1R) connect; None: a passive array.
        title: First line.

    Raises:
        ShapeError: If the shapes disagree.
        OutOfRangeError: If there are too many cells for a circuit simulator, or a number is out of range.
    """
    cells, volts = np.asarray(g, np.float64), np.asarray(v, np.float64)
    if cells.ndim != 2 or volts.shape != cells.shape[:1]:
        raise ShapeError(
            f"conductances of shape {cells.shape} and voltages of shape {volts.shape}; give (rows, cols) "
            "and (rows,)"
        )
    if cells.size > MAX_CELLS:
        raise OutOfRangeError(
            f"{cells.size} cells; a netlist has at most {MAX_CELLS}: cut a smaller tile out, e.g. 32 x 32"
        )
    if not (np.isfinite(cells).all() and np.isfinite(volts).all() and cells.size and cells.min() >= 0):
        raise OutOfRangeError(
            "every cell needs a conductance of 0 or more [S], every row a voltage, all finite"
        )
    on = np.ones(len(cells), np.bool_) if active is None else np.asarray(active)
    if on.shape != volts.shape or on.dtype != np.bool_:
        raise ShapeError(f"active rows are {on.dtype} of shape {on.shape}; give bool ({len(volts)},)")
    (m, n), lines = cells.shape, [f"* {' '.join(title.split()) or 'neurosim tile'}"]

    def wire(name: str, a: str, b: str, ohm: float) -> None:
        lines.append(f"R{name} {a} {b} {ohm!r}" if ohm else f"V{name} {a} {b} 0")

    for i in np.flatnonzero(on):
        lines.append(f"Vr_{i} s_{i} 0 {float(volts[i])!r}")
        wire(f"s_{i}", f"s_{i}", f"w_{i}_0", wires.r_source + wires.r_row)
        for j in range(1, n):
            wire(f"w_{i}_{j}", f"w_{i}_{j - 1}", f"w_{i}_{j}", wires.r_row)
        if wires.drive == "both" and wires.r_row + wires.r_source:
            wire(f"f_{i}", f"w_{i}_{n - 1}", f"s_{i}", wires.r_row + wires.r_source)
        lines += [
            f"Rc_{i}_{j} w_{i}_{j} b_{i}_{j} {float(1 / cells[i, j])!r}" for j in np.flatnonzero(cells[i])
        ]
    for j in range(n):
        for i in range(m - 1):
            wire(f"b_{i}_{j}", f"b_{i}_{j}", f"b_{i + 1}_{j}", wires.r_col)
        wire(f"b_{m - 1}_{j}", f"b_{m - 1}_{j}", f"g_{j}", wires.r_col + wires.r_sense)
        lines.append(f"Vc_{j} g_{j} 0 0")
    prints = "\n".join(f"print i(vc_{j})" for j in range(n))
    exact = ".options reltol=1e-12 abstol=1e-18 vntol=1e-15 gmin=1e-30"
    control = [".control", "set numdgt=15", "op", prints, "quit", ".endc", ".end"]
    return "\n".join([*lines, exact, *control]) + "\n"


def write_spice(design: "Design", out: Path) -> list[Path]:
    """Write the first cells of a design's first tile as a netlist, all rows read at once.

    At most ``CORNER`` word and bit lines, as a tile of their own, with the wires of the experiment or, where
    it has none, of the macro card. The currents that neurosim expects stand in comments.
    """
    crossbar, layout = design.chip.crossbar, design.layout
    used = layout.used[0]
    shape = tuple(int(np.flatnonzero(used.any(axis=axis)).max()) + 1 for axis in (1, 0))
    rows, cols = (min(size, CORNER) for size in shape)
    g = np.asarray(layout.on_tiles(design.target, 0.0)[0, :rows, :cols], np.float64)
    v = np.full(rows, crossbar.macro.v_read.value)
    wires = (crossbar.wires or WiresConfig()).resistances(crossbar.macro)
    expected = solve(g, v, wires, tol=1e-12)[0]
    text = netlist(
        g, v, wires, title=f"{design.experiment.name} chip {design.chip.number} {design.fingerprint}"
    )
    first, rest = text.split("\n", 1)
    notes = "".join(f"* expected i(vc_{j}) = {float(i)!r}\n" for j, i in enumerate(expected))
    store.write_text(out, f"{first}\n{notes}{rest}")
    return [out]


def run_spice(text: str) -> Array:
    """Column currents (cols,) [A] of a `netlist`, by ngspice.

    Raises:
        MissingExtraError: If ngspice is not installed.
        ExperimentError: If it does not solve the circuit.
    """
    if not shutil.which("ngspice"):
        raise MissingExtraError("ngspice is not installed; on Debian: apt install ngspice")
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "tile.cir"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["ngspice", "-b", str(path)], cwd=scratch, capture_output=True, text=True, check=False
        )
    found = dict(re.findall(r"i\(vc_(\d+)\) = (\S+)", done.stdout))
    if not found or set(found) != {str(j) for j in range(len(found))}:
        raise ExperimentError(
            f"ngspice did not solve the circuit: {(done.stderr or done.stdout).strip()[-500:]}"
        )
    return np.array([float(found[str(j)]) for j in range(len(found))])
