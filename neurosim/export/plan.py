"""How cells get their targets: one forming pulse, or SET and RESET pulses by the card's pulse law."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from neurosim.device import WriteVerifyConfig, blind_train, write_verify
from neurosim.device.config import number
from neurosim.export.design import Design

Float = npt.NDArray[np.float32]

RUNS = 8  # simulated arrays that the expected numbers are means over
TOLERANCE = 0.02  # of the window, where neither the experiment nor the card names a band


@dataclass(frozen=True, eq=False)
class Plan:
    """The pulses of every cell; arrays are float32 (2, rows, cols), empty where nothing is known.

    Attributes:
        mode: ``form``: one forming pulse; ``write_verify``: pulses until the cell is in its band; ``target``:
            the card says nothing of pulses, the target is all there is.
        v_forming: Amplitude of the forming pulse [V]; 0: none.
        v_first: Amplitude of the SET pulse [V] that brings the median cell from the low end of the window
            nearest to its target.
        n_first: How many such pulses that takes [1].
        width: Their duration [s]; 0: not known.
        pulses: Expected number of pulses of write-verify [1].
        energy: Expected energy of pulses and reads [J].
        time: Expected duration of pulses and reads [s].
        failed: Expected share of cells that end outside of their band [1].
    """

    mode: Literal["form", "write_verify", "target"]
    v_forming: float
    v_first: Float
    n_first: Float
    width: float
    pulses: Float
    energy: Float
    time: Float
    failed: float


def make_plan(design: Design) -> Plan:
    """The programming plan of a design.

    Assumes: write-verify starts at the low end of the window; without ``device.write_verify`` its band is the
        design's tolerance, or 2 % of the window where that is 0.
    Source: `write_verify` on simulated arrays of the card, the mean of 8.
    """
    card, config = design.chip.crossbar.pos.card, design.experiment.device
    none = np.empty(0, np.float32)
    target = design.target
    if card.forming is not None:
        v = card.forming.v_default.value if config.v_forming is None else config.v_forming
        return Plan("form", v, none, none, 0.0, none, none, none, 0.0)
    if card.switching is None:
        return Plan("target", 0.0, none, none, 0.0, none, none, none, 0.0)
    window = card.conductance.g_max.value - card.conductance.g_min.value
    procedure = config.write_verify or WriteVerifyConfig(
        tolerance=max(float(design.tolerance.max()), TOLERANCE * window)
    )
    runs = [
        write_verify(
            card,
            target,
            procedure,
            seed=design.chip.seed,
            name=f"plan{i}/chip{design.chip.number}",
            extrapolate=config.extrapolate,
        )
        for i in range(RUNS)
    ]
    mean = {
        name: np.mean([getattr(run, name) for run in runs], axis=0).astype(np.float32)
        for name in ("n_pulses", "energy", "time")
    }
    train = blind_train(card, target.ravel())
    return Plan(
        mode="write_verify",
        v_forming=0.0,
        v_first=train.max(axis=0, initial=0).reshape(target.shape).astype(np.float32),
        n_first=np.count_nonzero(train, axis=0).reshape(target.shape).astype(np.float32),
        width=number(card.switching.width),
        pulses=mean["n_pulses"],
        energy=mean["energy"],
        time=mean["time"],
        failed=float(np.mean([run.failed.mean() for run in runs])),
    )
