"""A row of a study without an experiment behind it."""

from typing import Any


def make_row(accuracy: float, **changed: Any) -> dict[str, Any]:
    """The row of two equal chips; ``changed`` replaces numbers."""
    return {
        "accuracy": accuracy,
        "per_chip": [accuracy, accuracy],
        "ci95": [0.0, 1.0],
        "validation_accuracy": accuracy,
        "n_test": 10,
        "energy": 1e-6,
        "energy_parts": {"adc": 1e-6},
        "latency": 1e-3,
        "area": 1e-7,
        "cells": 100,
        "tiles": 1,
        "utilisation": 0.5,
        "rates": {},
        "array": {},
        "seconds": 0.0,
        "fingerprint": "",
    } | changed
