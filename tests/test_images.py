"""Images from a folder: what is read is what Matplotlib wrote, and what is no image is refused."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from neurosim.baselines import make_baseline
from neurosim.baselines.images import read_folder
from neurosim.errors import BaselineError

DRAW = np.random.default_rng(0)


def save(folder: Path, name: str, pixels: np.ndarray) -> None:  # type: ignore[type-arg]
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


def test_colours_as_another_reader_sees_them(tmp_path: Path) -> None:
    pixels = DRAW.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    for i, image in enumerate(pixels):
        save(tmp_path, f"{'ab'[i % 2]}/{i}.png", image)
    images, codes, classes = read_folder(tmp_path)
    assert (images.shape, images.dtype, classes) == ((6, 3, 8, 8), np.uint8, ("a", "b"))
    assert_array_equal(codes, [0, 0, 0, 1, 1, 1])
    seen = matplotlib.image.imread(tmp_path / "b/3.png")
    assert_array_equal(np.moveaxis(images[4], 0, 2), np.rint(255 * seen))
    config = {"training": {"epochs": 1}, "channels": [2, 2], "hidden": 4}
    assert make_baseline("cnn", config).fit(images, codes).predict(images).shape == (6,)


def test_grey_images_have_no_colours_unless_others_have(tmp_path: Path) -> None:
    grey = DRAW.integers(0, 256, (8, 8)).astype(np.uint8)
    save(tmp_path, "a/0.png", grey)
    save(tmp_path, "b/1.bmp", grey)
    images, _, _ = read_folder(tmp_path)
    assert_array_equal(images, [grey, grey])
    save(tmp_path, "b/2.png", np.zeros((8, 8, 3), np.uint8))
    assert_array_equal(read_folder(tmp_path)[0][0], [grey] * 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b/x.png", b"GIF89a", "x.png: not an image of PNG, JPEG, BMP"),
        ("b/x.png", None, "differs in size from the 8 x 8 pixels"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    save(tmp_path, "a/0.png", np.zeros((8, 8), np.uint8))
    save(tmp_path, name, np.zeros((9, 8), np.uint8))
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BaselineError, match=message):
        read_folder(tmp_path)


def test_no_images(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BaselineError, match="no images; expected one folder per class"):
            read_folder(folder)


def test_an_image_that_would_fill_the_memory(tmp_path: Path) -> None:
    save(tmp_path, "a/0.png", np.zeros((2000, 2000), np.uint8))
    with pytest.raises(BaselineError, match="2000 x 2000 pixels, at most"):
        read_folder(tmp_path)
