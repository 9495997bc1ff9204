"""Strict models read from TOML: what every config model and every card is made of."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from neurosim.errors import NeurosimError, did_you_mean

M = TypeVar("M", bound=BaseModel)


class StrictModel(BaseModel):
    """Frozen pydantic model that refuses unknown keys and silent conversions.

    TOML has no null: ``false`` says None for every key that may be None and not bool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _false_is_none(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        kinds = {name: get_args(field.annotation) for name, field in cls.model_fields.items()}
        off = {name for name, kind in kinds.items() if type(None) in kind and bool not in kind}
        return {key: None if value is False and key in off else value for key, value in data.items()}


def read_toml(path: Path, error: type[NeurosimError]) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        error: If the file cannot be read or is not TOML; the message names the file and the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as why:
        raise error(f"{path}: cannot be read as text: {why}") from None
    except tomllib.TOMLDecodeError as why:
        raise error(f"{path}: not valid TOML: {why}") from None


def validate(model: type[M], data: Mapping[str, Any], *, where: str, error: type[NeurosimError]) -> M:
    """Build ``model`` from ``data``; every problem at once, each with its key and a remedy.

    Raises:
        error: If ``data`` does not fit the model.
    """
    try:
        return model.model_validate(data)
    except ValidationError as why:
        lines = [_explain(model, problem) for problem in why.errors(include_url=False)]
        raise error("\n".join(f"{where}: {line}" for line in lines)) from None


def _explain(model: type[BaseModel], problem: Any) -> str:
    """One line for one pydantic problem: key, what is wrong, what to do."""
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path) or "(file)"
    match problem["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; {did_you_mean(path[-1], _fields(model, path[:-1]))}"
        case "missing":
            return f"{key}: missing; add it"
        case "value_error":
            return f"{key}: {problem['ctx']['error']}"
        case _:
            return f"{key}: {problem['msg']} (got {problem['input']!r})"


def _fields(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    """Names of the keys allowed at ``path`` inside ``model``; empty where the path is not a model."""
    current: Any = model
    for part in path:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:  # place in a list, or key of a table whose keys are free
            continue
        inner = [field.annotation, *getattr(field.annotation, "__args__", ())]
        current = next((a for a in inner if hasattr(a, "model_fields")), None)
    return [field.alias or name for name, field in getattr(current, "model_fields", {}).items()]


def fingerprint(*parts: Any) -> str:
    """SHA-256 of the canonical JSON of ``parts`` (models, mappings, sequences, numbers, strings)."""
    dump = methodcaller("model_dump", mode="json")
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=dump)
    return hashlib.sha256(text.encode()).hexdigest()
