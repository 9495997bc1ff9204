"""From a resolved experiment, as results and images hold it, back to one that can be run."""

import json
from pathlib import Path
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel

from neurosim.cards import KINDS, Card, list_cards, load_dataset, load_device, load_macro
from neurosim.config import fingerprint, validate
from neurosim.errors import ExperimentError
from neurosim.experiment import Experiment, load_experiment
from neurosim.fit.card import write_card
from neurosim.store import cache_dir

MAX_BYTES = 1 << 26  # of a result.json


def read_run(source: Path | str) -> tuple[Experiment, str | None]:
    """The experiment of a run, with the fingerprint of the run where there was one.

    Args:
        source: Folder of a run, its ``result.json``, an experiment's TOML, or the name of an example.

    Raises:
        ExperimentError: If it is none of these, or what it says is wrong.
    """
    path = Path(source)
    if path.is_dir():
        path /= "result.json"
        if not path.is_file():
            raise ExperimentError(f"{source}: no result.json in it; give the folder of a finished run")
    if path.suffix != ".json":
        return load_experiment(source), None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ExperimentError(f"{path}: larger than {MAX_BYTES} bytes; is it a run's result.json?")
        result = json.loads(path.read_text(encoding="utf-8"))
        schema, resolved, mark = (result[key] for key in ("schema", "experiment", "fingerprint"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as why:
        raise ExperimentError(f"{path}: not a run's result.json: {why!r}; give the folder of a run") from None
    if schema != "neurosim.result/1":
        raise ExperimentError(f"{path}: schema {schema!r}; must be 'neurosim.result/1'")
    return restore(resolved, where=str(path)), str(mark)


def restore(resolved: Any, *, where: str) -> Experiment:
    """The experiment that `resolve` gave ``resolved`` of; a path in it is never used.

    Cards that ship with neurosim as they are in ``resolved`` are named; other device and macro cards are
    written into the cache under the hash of what they say.

    Args:
        resolved: Plain data.
        where: Its place, for messages.

    Raises:
        ExperimentError: If something is missing or wrong, or a data set is not one that ships.
    """
    try:
        data = json.loads(json.dumps(resolved))  # a copy
        cards = data.pop("cards")
        data["device"]["card"] = _card("device", cards["device"], where)
        data["array"]["macro"] = _card("macro", cards["macro"], where)
        parts = [part for name in ("train", "test", "validation") if (part := data["data"].get(name))]
        sources = [source for part in parts for source in (part, *part.get("also", ()))]
        names = sorted({source["dataset"] for source in sources})
        known = dict(zip(names, cards["datasets"], strict=True))
        for source in sources:
            source["dataset"] = _dataset(known[source["dataset"]], where)
    except (KeyError, TypeError, AttributeError, ValueError) as why:
        if isinstance(why, ExperimentError):
            raise
        raise ExperimentError(f"{where}: no resolved experiment: {why!r}; export the run again") from None
    return validate(Experiment, _given(Experiment, data), where=where, error=ExperimentError)


def _given(model: type[BaseModel], data: dict[str, Any]) -> dict[str, Any]:
    """What of ``data`` differs from the model's defaults: some keys are refused where they have no effect."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    given = {}
    for key, value in data.items():
        field = fields.get(key)
        if field is not None and not field.is_required():
            default = field.get_default(call_default_factory=True)
            if value == (default.model_dump(mode="json") if isinstance(default, BaseModel) else default):
                continue
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if _is_model(t)] if field else []
        given[key] = _given(inner[0], value) if inner and isinstance(value, dict) else value
    return given


def _is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _card(kind: str, said: Any, where: str) -> str:
    """Name of a shipped card that says the same, else the path of a copy in the cache."""
    card = validate(KINDS[kind], said, where=f"{where}: {kind} card", error=ExperimentError)
    load = {"device": load_device, "macro": load_macro}[kind]
    if card.name in list_cards(kind) and _same(load(card.name), card):
        return card.name
    path = cache_dir() / "cards" / f"{fingerprint(kind, said)}.toml"
    write_card(card, path)
    return str(path)


def _dataset(said: Any, where: str) -> str:
    """Name of the shipped data set that says the same."""
    card = validate(KINDS["dataset"], said, where=f"{where}: dataset card", error=ExperimentError)
    if card.name not in list_cards("dataset") or not _same(load_dataset(card.name), card):
        raise ExperimentError(
            f"{where}: data set '{card.name}' does not ship with neurosim as it is said here; give the "
            "experiment's own TOML"
        )
    return card.name


def _same(one: Card, other: Card) -> bool:
    return one.model_dump(mode="json") == other.model_dump(mode="json")
