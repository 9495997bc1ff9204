"""Baselines beside the liquid: quantum hybrids and classical rivals under one contract.

Every one is a scikit-learn classifier made from a config (``neurosim.baselines.base``); its module is
imported when it is first asked for.
"""

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal, get_args

from neurosim.config import validate
from neurosim.errors import BaselineError, did_you_mean

if TYPE_CHECKING:
    from neurosim.baselines.base import Baseline

__all__ = ["BASELINES", "VARIANTS", "Variant", "baseline_class", "make_baseline"]

# what stands in a hybrid's circuit's place, see `neurosim.baselines.quantum.layer.QuantumConfig`
Variant = Literal["full", "no_entanglement", "frozen", "linear", "deleted", "classical"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

BASELINES: dict[str, str] = {
    "cnn": "neurosim.baselines.classical.cnn:Cnn",
    "cnn_svm": "neurosim.baselines.classical.cnn:CnnSvm",
    "esn": "neurosim.baselines.classical.esn:Esn",
    "gru": "neurosim.baselines.classical.recurrent:Gru",
    "hqnn_parallel": "neurosim.baselines.quantum.hqnn_parallel:HqnnParallel",
    "hqnn_quanv": "neurosim.baselines.quantum.hqnn_quanv:HqnnQuanv",
    "hybrid_cnn": "neurosim.baselines.quantum.hybrid_cnn:HybridCnn",
    "knn": "neurosim.baselines.classical.knn:Knn",
    "logistic": "neurosim.baselines.classical.logistic:Logistic",
    "lstm": "neurosim.baselines.classical.recurrent:Lstm",
    "mlp": "neurosim.baselines.classical.mlp:Mlp",
    "photonic": "neurosim.baselines.quantum.photonic:Photonic",
    "qrnn": "neurosim.baselines.quantum.qrnn:Qrnn",
    "quantum_creep": "neurosim.baselines.quantum.quantum_creep:QuantumCreep",
    "quantum_transfer": "neurosim.baselines.quantum.quantum_transfer:QuantumTransfer",
    "rnn": "neurosim.baselines.classical.recurrent:Rnn",
    "srnn": "neurosim.baselines.classical.srnn:Srnn",
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
    """The untrained baseline ``name``; the same seed trains the same one.

    Args:
        name: Of ``BASELINES``.
        config: Keys that differ from the baseline's own defaults, tables inside of tables too.
        seed: Seed of every draw.

    Raises:
        BaselineError: If there is no such baseline, or a key or value is wrong.
    """
    found = baseline_class(name)
    merged = _over(found.Config().model_dump(), config or {})
    settings = validate(found.Config, merged, where=f"baseline {name}", error=BaselineError)
    return found(settings, random_state=seed)


def _over(defaults: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` laid over ``defaults``, table by table."""
    merged = dict(defaults)
    for key, value in config.items():
        below = defaults.get(key)
        merged[key] = _over(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged
