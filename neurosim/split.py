"""Samples held out of a training part to validate on."""

import numpy as np
import numpy.typing as npt


def hold_out(
    codes: npt.NDArray[np.int64], n_classes: int, seed: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows to train on and a stratified tenth to validate on; all rows twice if that is too few."""
    from sklearn.model_selection import train_test_split  # whose import takes longer than listing the cards

    rows = np.arange(len(codes))
    n_held = len(codes) // 10
    if n_held < n_classes or np.bincount(codes).min() < 2:
        return rows, rows
    train, held = train_test_split(rows, test_size=n_held, stratify=codes, random_state=seed)
    return np.sort(train), np.sort(held)
