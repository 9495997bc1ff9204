"""Images from a folder of PNG, JPEG or BMP files, one subfolder per class; IDX has `neurosim.events.idx`."""

from pathlib import Path

import numpy as np

from neurosim.baselines.base import Array
from neurosim.errors import BaselineError

FORMATS = ("PNG", "JPEG", "BMP")
MAX_PIXELS = 2**22  # of one image, colours counted apart


def read_folder(folder: Path) -> tuple[Array, Array, tuple[str, ...]]:
    """Images of ``folder/CLASS/FILE``, classes and files in the order of their names.

    Args:
        folder: As CIFAR-10 and others are distributed in, e.g. ``cifar/train``.

    Returns:
        uint8 images (n, h, w) if all are grey, else (n, 3, h, w); int64 class codes (n,); class names.

    Raises:
        BaselineError: If there is no class or image, one cannot be read, or they differ in size.
    """
    from PIL import Image, UnidentifiedImageError

    classes = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    files = [(code, file) for code, path in enumerate(classes) for file in sorted(path.iterdir())]
    if not files:
        raise BaselineError(f"{folder}: no images; expected one folder per class with images in it")
    images = []
    for _, file in files:
        try:
            with Image.open(file, formats=FORMATS) as image:
                if 3 * image.width * image.height > MAX_PIXELS:
                    raise BaselineError(
                        f"{file}: {image.width} x {image.height} pixels, at most {MAX_PIXELS // 3:,} are "
                        "read; make it smaller"
                    )
                grey = image.mode in ("1", "L", "I;16")
                images.append(np.asarray(image.convert("L" if grey else "RGB")))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as why:
            raise BaselineError(f"{file}: not an image of {', '.join(FORMATS)}: {why}; remove it") from None
        if images[-1].shape[:2] != images[0].shape[:2]:
            height, width = images[0].shape[:2]
            raise BaselineError(f"{file}: differs in size from the {width} x {height} pixels of the first")
    if all(image.ndim == 2 for image in images):
        found = np.stack(images)
    else:
        colours = [np.stack([image] * 3, 2) if image.ndim == 2 else image for image in images]
        found = np.moveaxis(np.stack(colours), 3, 1)
    return found, np.array([code for code, _ in files]), tuple(path.name for path in classes)
