"""Baselines beside the liquid: quantum hybrids and classical rivals under one contract.

Every one is a scikit-learn classifier made from a config (``neurosim.baselines.base``); its module is
imported when it is first asked for.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from neurosim.config import validate
from neurosim.errors import BaselineError, did_you_mean

if TYPE_CHECKING:
    from neurosim.baselines.base import Baseline

__all__ = ["BASELINES", "baseline_class", "make_baseline"]

BASELINES: dict[str, str] = {
    "hqnn_parallel": "neurosim.baselines.quantum.hqnn_parallel:HqnnParallel",
    "hqnn_quanv": "neurosim.baselines.quantum.hqnn_quanv:HqnnQuanv",
    "hybrid_cnn": "neurosim.baselines.quantum.hybrid_cnn:HybridCnn",
    "photonic": "neurosim.baselines.quantum.photonic:Photonic",
    "qrnn": "neurosim.baselines.quantum.qrnn:Qrnn",
    "quantum_creep": "neurosim.baselines.quantum.quantum_creep:QuantumCreep",
    "quantum_transfer": "neurosim.baselines.quantum.quantum_transfer:QuantumTransfer",
}


def baseline_class(name: str) -> "type[Baseline]":
    """The class of a baseline.

    Raises:
        BaselineError: If there is no baseline of that name.
    """
    if name not in BASELINES:
        raise BaselineError(f"no baseline '{name}'; {did_you_mean(name, BASELINES)}")
    found: type[Baseline] = resolve_name(BASELINES[name])
    return found


def make_baseline(name: str, config: Mapping[str, Any] | None = None, *, seed: int = 0) -> "Baseline":
    """The untrained baseline ``name`` with the keys of ``config``; the same seed trains the same one.

    Raises:
        BaselineError: If there is no such baseline, or a key or value is wrong.
    """
    found = baseline_class(name)
    settings = validate(found.Config, config or {}, where=f"baseline {name}", error=BaselineError)
    return found(settings, random_state=seed)
