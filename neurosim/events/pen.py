"""A pen that writes: trajectories of single-stroke glyphs, and what they leave on paper.

A glyph is one or more strokes, each a smooth curve (Catmull-Rom) through control points; a point that stands
twice is a corner. Between strokes the pen is lifted and goes straight on. Every trial moves the control
points, shears, turns and scales the glyph, and has a speed and a beginning of its own. Along the path the pen
follows the two-thirds power law, v ~ curvature^(-1/3), slower at both ends.

Source: Lacquaniti, Terzuolo & Viviani, Acta Psychol. 54, 115 (1983) for the power law.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from numba import njit
from pydantic import Field

from neurosim import rng
from neurosim.config import StrictModel
from neurosim.errors import DataNotFoundError, EventFileError, did_you_mean

SIDE = 28
COLUMNS = ["label", "stroke", "x", "y"]
MAX_POINTS = 100_000
LIMIT = 10.0  # of a coordinate
SUBPOINTS = 24  # of the curve between two control points
FLAT = 2.0  # curvature below which the pen is no longer faster [1/height]

Glyph = tuple[npt.NDArray[np.float64], ...]
Spread = Annotated[float, Field(ge=0, le=1)]


class PenConfig(StrictModel):
    """How letters are written; lengths are in heights of a tall letter.

    Attributes:
        speed: Mean speed of the pen [heights/s].
        sigma_speed: Log-normal spread of the speed over trials [1].
        onset: Time at which writing begins [s].
        sigma_onset: Its standard deviation over trials [s].
        sigma_slant: Standard deviation of the shear [1].
        sigma_turn: Standard deviation of the angle [rad].
        sigma_scale: Log-normal spread of width and of height [1].
        sigma_point: Standard deviation of a control point's place [heights].
        stroke_width: Width of the ink on the images [pixel].
        sigma_width: Its log-normal spread [1].
    """

    speed: Annotated[float, Field(gt=0, le=100)] = 3.0
    sigma_speed: Spread = 0.15
    onset: Annotated[float, Field(ge=0, le=10)] = 0.6
    sigma_onset: Spread = 0.06
    sigma_slant: Spread = 0.15
    sigma_turn: Spread = 0.06
    sigma_scale: Spread = 0.1
    sigma_point: Spread = 0.025
    stroke_width: Annotated[float, Field(ge=0.5, le=10)] = 2.2
    sigma_width: Spread = 0.15


@dataclass(frozen=True, eq=False)
class Writing:
    """One letter being written.

    Attributes:
        path: float64 (k, 2), places along the path [heights], x to the right and y up.
        t: float64 (k,), time at each of them [s], ascending.
        down: bool (k,), whether the pen writes on the way to it.
        width: Width of the ink [pixel].
    """

    path: npt.NDArray[np.float64]
    t: npt.NDArray[np.float64]
    down: npt.NDArray[np.bool_]
    width: float

    def velocity(self, edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Mean velocity between successive times, float64 (len(edges) - 1, 2) [heights/s]; at rest 0."""
        x, y = (np.interp(edges, self.t, self.path[:, axis]) for axis in range(2))
        return np.diff(np.stack([x, y], axis=1), axis=0) / np.diff(edges)[:, None]


def read_glyphs(path: Path, classes: Sequence[str]) -> list[Glyph]:
    """Control points of every class, from a CSV file with the columns label, stroke, x, y.

    Returns:
        For every class its strokes, each float64 (n_points, 2).

    Raises:
        DataNotFoundError: If there is no such file.
        EventFileError: If a column, class or number is wrong, strokes are out of order, a class has no
            stroke, or a stroke less than two places.
    """
    strokes: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in classes}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if (head := next(rows, [])) != COLUMNS:
                raise EventFileError(f"{path}: line 1: columns {head}, expected {','.join(COLUMNS)}")
            for row in rows:
                where = f"{path}: line {rows.line_num}"
                if rows.line_num > MAX_POINTS:
                    raise EventFileError(f"{path}: more than {MAX_POINTS} points")
                if len(row) != len(COLUMNS):
                    raise EventFileError(f"{where}: {len(row)} fields, expected {','.join(COLUMNS)}")
                label, number, *place = row
                if label not in strokes:
                    raise EventFileError(f"{where}: unknown class '{label}'; {did_you_mean(label, classes)}")
                mine = strokes[label]
                if number == str(len(mine)):
                    mine.append([])
                elif number != str(len(mine) - 1):
                    raise EventFileError(
                        f"{where}: stroke '{number}', expected {len(mine)} or the one before it"
                    )
                mine[-1].append(_point(place, where))
    except FileNotFoundError:
        raise DataNotFoundError(f"{path}: no such file of strokes") from None
    except (OSError, UnicodeDecodeError, csv.Error) as why:
        raise EventFileError(f"{path}: cannot be read as CSV: {why}") from None
    for name, mine in strokes.items():
        if not mine or min(map(len, mine)) < 2:
            raise EventFileError(f"{path}: class '{name}': expected strokes of at least two points each")
        if any(len(set(stroke)) < 2 for stroke in mine):
            raise EventFileError(f"{path}: class '{name}': a stroke without length; move one of its points")
    return [tuple(np.array(stroke) for stroke in strokes[name]) for name in classes]


def write(glyph: Glyph, config: PenConfig, *, seed: int, number: int, name: str = "events/pen") -> Writing:
    """Write a glyph once; trial ``number`` is the same in any company.

    Args:
        glyph: Control points of its strokes.
        config: How it is written.
        seed: Seed of the experiment.
        number: Number of the trial.
        name: Name of the random stream.
    """
    draw = rng.stream(seed, f"{name}/{number}")
    slant, turn, *logs = draw.standard_normal(7)
    slant, turn = config.sigma_slant * slant, config.sigma_turn * turn
    scale = np.exp(config.sigma_scale * np.array(logs[:2]))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shape = rotation @ np.array([[1.0, slant], [0.0, 1.0]]) @ np.diag(scale)
    pieces: list[npt.NDArray[np.float64]] = []
    down: list[npt.NDArray[np.bool_]] = []
    for stroke in glyph:
        # a corner stays one: a point that stands twice is moved once
        same = np.concatenate([[False], (np.diff(stroke, axis=0) == 0).all(axis=1)])
        moved = stroke + config.sigma_point * draw.standard_normal(stroke.shape)[np.cumsum(~same) - 1]
        curve = _curve(moved @ shape.T)
        if pieces:
            steps = np.linspace(0, 1, SUBPOINTS)[1:-1, None]
            pieces.append(pieces[-1][-1] + steps * (curve[0] - pieces[-1][-1]))
            down.append(np.zeros(len(pieces[-1]), np.bool_))
        pieces.append(curve)
        down.append(np.arange(len(curve)) > 0)
    path = np.concatenate(pieces)
    length = np.hypot(*np.diff(path, axis=0).T)
    keep = np.concatenate([[True], length > 1e-9])
    path, written = path[keep], np.concatenate(down)[keep]
    speed = config.speed * math.exp(config.sigma_speed * logs[2])
    onset = max(0.0, config.onset + config.sigma_onset * logs[3])
    t = onset + _timing(path) * float(length.sum()) / speed
    return Writing(path, t, written, config.stroke_width * math.exp(config.sigma_width * logs[4]))


def render(writing: Writing) -> npt.NDArray[np.uint8]:
    """What is written as an image, uint8 (28, 28): bright on black, in the middle, 20 pixels high or wide."""
    ink = np.concatenate([writing.path[writing.down], writing.path[:-1][writing.down[1:]]])
    low, high = ink.min(axis=0), ink.max(axis=0)
    zoom = 20 / max(float((high - low).max()), 0.4)
    placed = (writing.path - (low + high) / 2) * zoom * np.array([1.0, -1.0]) + (SIDE - 1) / 2
    return _draw(placed, writing.down, writing.width)


def _point(place: Sequence[str], where: str) -> tuple[float, float]:
    try:
        x, y = (float(number) for number in place)
    except ValueError:
        raise EventFileError(f"{where}: '{','.join(place)}' is no place x,y") from None
    if not (abs(x) <= LIMIT and abs(y) <= LIMIT):
        raise EventFileError(f"{where}: x={x:g}, y={y:g}, allowed is -{LIMIT:g} to {LIMIT:g}")
    return x, y


def _curve(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Catmull-Rom curve through points (n, 2), ``SUBPOINTS`` steps between two; doubled ones part it."""
    corners = np.flatnonzero((np.diff(points, axis=0) == 0).all(axis=1)) + 1
    return np.concatenate([_smooth(part) for part in np.split(points, corners)])


def _smooth(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Such a curve without corners."""
    p = np.concatenate([points[:1], points, points[-1:]])
    u = (np.arange(SUBPOINTS) / SUBPOINTS)[None, :, None]
    a, b, c, d = (p[k : len(p) - 3 + k, None] for k in range(4))
    inside = 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * (b - c) + d - a) * u**3)
    return np.concatenate([inside.reshape(-1, 2), points[-1:]])


def _timing(path: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Share of the whole time, 0 to 1, at every point of the path."""
    step = np.diff(path, axis=0)
    length = np.hypot(*step.T)
    direction = np.unwrap(np.arctan2(step[:, 1], step[:, 0]))
    turn = np.abs(np.diff(direction, prepend=direction[:1]))
    curvature = np.convolve(turn, np.ones(5) / 5, "same") / np.convolve(length, np.ones(5) / 5, "same")
    along = (np.cumsum(length) - length / 2) / length.sum()
    slow = (curvature**2 + FLAT**2) ** (1 / 6) / (0.25 + np.sqrt(np.sin(np.pi * along)))
    time = np.concatenate([[0.0], np.cumsum(length * slow)])
    return np.asarray(time / time[-1])


@njit(cache=True)
def _draw(path: npt.NDArray[np.float64], down: npt.NDArray[np.bool_], width: float) -> npt.NDArray[np.uint8]:
    """Grey level of every pixel by its distance from the written segments, falling over one pixel."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    reach = width / 2 + 0.5
    for k in range(1, len(path)):
        if not down[k]:
            continue
        (x0, y0), (x1, y1) = path[k - 1], path[k]
        squared = (x1 - x0) ** 2 + (y1 - y0) ** 2
        for y in range(
            max(0, math.ceil(min(y0, y1) - reach)), min(SIDE, math.floor(max(y0, y1) + reach) + 1)
        ):
            for x in range(
                max(0, math.ceil(min(x0, x1) - reach)), min(SIDE, math.floor(max(x0, x1) + reach) + 1)
            ):
                share = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / squared if squared > 0 else 0.0
                share = min(1.0, max(0.0, share))
                far = math.hypot(x - x0 - share * (x1 - x0), y - y0 - share * (y1 - y0))
                grey = np.uint8(255 * min(1.0, max(0.0, reach - far)))
                image[y, x] = max(image[y, x], grey)
    return image
