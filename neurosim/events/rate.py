"""Images as spike trains: every pixel is a Poisson-like source whose rate is its grey level.

    P(event of a pixel in a step) = max_spikes / n_steps  grey / 255

Source: the rate coding of Lin et al. (Nat. Comput. Sci. 5, 37, 2025), 20 spikes in 50 steps for white.
"""

from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from pydantic import Field, model_validator

from neurosim import counter, rng
from neurosim.config import StrictModel
from neurosim.errors import ShapeError
from neurosim.events.types import Events, Sensor

SENSOR = Sensor(width=28, height=28)
CHUNK = 64  # images whose steps are in memory together


class RateConfig(StrictModel):
    """How images become events.

    Attributes:
        n_steps: Steps of a recording; a pixel has at most one event in each.
        max_spikes: Mean number of events of a white pixel.
        duration: Length of a recording [s].
    """

    n_steps: int = Field(50, ge=1, le=10_000)
    max_spikes: Annotated[float, Field(gt=0)] = 20.0
    duration: Annotated[float, Field(ge=1e-3, le=100)] = 0.5

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_spikes > self.n_steps:
            raise ValueError(f"max_spikes (={self.max_spikes:g}) must be at most n_steps (={self.n_steps})")
        return self


def rate_code(
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    config: RateConfig,
    *,
    seed: int,
    ids: npt.NDArray[np.int64],
    classes: tuple[str, ...],
    name: str = "events/rate",
) -> Events:
    """Events of every image; a recording depends on its own number only.

    Args:
        images: uint8 (n, 28, 28).
        labels: int64 (n,), class indices.
        config: Steps and rate.
        seed: Seed of the experiment.
        ids: int64 (n,), number of every recording in the stream.
        classes: Class names.
        name: Name of the random stream.

    Raises:
        ShapeError: If ``images`` is not uint8 (n, 28, 28), or there is not one label and one id per image.
    """
    if images.dtype != np.uint8 or images.shape[1:] != (SENSOR.height, SENSOR.width):
        raise ShapeError(
            f"images: {images.dtype} {images.shape}, expected uint8 (n, 28, 28), grey levels 0..255"
        )
    if not len(images) == len(labels) == len(ids):
        raise ShapeError(
            f"{len(images)} images, {len(labels)} labels and {len(ids)} ids: give one of each per image"
        )
    chance = config.max_spikes / config.n_steps / 255 * images.reshape(len(images), -1).astype(np.float64)
    key = rng.key(seed, name)
    recordings = []
    for start in range(0, len(images), CHUNK):
        some = slice(start, start + CHUNK)
        for own in _draw(chance[some], ids[some], key, config.n_steps):
            step, channel = np.nonzero(own)
            t = (2 * step + 1) * round(config.duration * 1e6) // (2 * config.n_steps)
            recordings.append((channel, t))
    return Events.pack(recordings, labels, SENSOR, classes)


@njit(cache=True, parallel=True)
def _draw(
    chance: npt.NDArray[np.float64], ids: npt.NDArray[np.int64], key: int, n_steps: int
) -> npt.NDArray[np.bool_]:
    """Whether a pixel is active in a step, (n, n_steps, n_pixels)."""
    n, n_pixels = chance.shape
    active = np.zeros((n, n_steps, n_pixels), np.bool_)
    for i in prange(n):
        own = counter.mix(key, ids[i])
        for s in range(n_steps):
            for p in range(n_pixels):
                if chance[i, p] > 0:
                    active[i, s, p] = counter.uniform(own, s * n_pixels + p) < chance[i, p]
    return active
