"""Every key of an experiment's TOML file, from its config models: ``python tests/experiment_keys.py``.

This writes docs/experiments.md; do it after a change of a config model.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neurosim.concept_shift import ConceptShift
from neurosim.experiment import Experiment

PAGE = Path(__file__).parents[1] / "docs/experiments.md"
INTRO = """\
# Keys of an experiment

<!-- Made by tests/experiment_keys.py from the config models; change those. -->

An experiment is a TOML file like [`examples/demo.toml`](../examples/demo.toml). `neurosim run FILE` runs it,
and `--set KEY=VALUE` changes one value:

    neurosim run demo --set device.sigma_read=0.1 --set chips=5

`KEY` is the table and the key with dots between, as in `reservoir.states.pool`; `VALUE` is TOML, and text
needs no quotes. A key left out takes its default. Where the type ends in "or `false`", `false` stands for the
None of the meaning. Units are SI and stand in brackets; `[1]` is a ratio. Unknown keys are refused.
"""
SHIFT = """\
# Keys of a concept-shift experiment

A file like [`examples/concept_shift.toml`](../examples/concept_shift.toml), which `neurosim run` takes too:
projections learn online from a stream in which two classes swap their labels now and then, at rates that are
constant, moved by the homeostatic rule, or moved at random. `[data]` is one part as `[data.train]` above,
`[camera]` is `[data.camera]`, and `[events]`, `[device]`, `[array]` and `[reservoir]` are the same.
"""
HEAD = ["| Key | Type | Default | Allowed | Meaning |", "|---|---|---|---|---|"]
# JSON schema's name of a limit -> how it is shown
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def markdown() -> str:
    """The whole page."""
    schema = Experiment.model_json_schema()
    places: dict[str, list[str]] = {}
    for place, name in _tables(schema, schema["$defs"]):
        places.setdefault(name, []).append(f"`[{place}]`")
    sections = [_section("Top of the file", schema)]
    sections += [_section(", ".join(where), schema["$defs"][name]) for name, where in places.items()]
    shift = ConceptShift.model_json_schema()
    tables = {"Top of the file": shift, "`[stream]`": shift["$defs"]["StreamConfig"]}
    sections += [SHIFT, *(_section(title, model) for title, model in tables.items())]
    return "\n".join([INTRO, *sections])


def _tables(model: dict[str, Any], models: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted place and model of every table below ``model``, outer ones first."""
    for key, field in model["properties"].items():
        for kind in field.get("anyOf", [field]):
            if "$ref" in kind:
                name = kind["$ref"].rpartition("/")[2]
                yield prefix + key, name
                yield from _tables(models[name], models, f"{prefix}{key}.")


def _section(title: str, model: dict[str, Any]) -> str:
    summary, meanings = _docstring(model["description"])
    lines = [f"## {title}", "", summary, "", *HEAD]
    for key, field in model["properties"].items():
        every = field.get("anyOf", [field])
        kinds = [kind for kind in every if kind.get("type") != "null"]
        types = " or ".join(map(_type, kinds)) + (" or `false`" if len(kinds) < len(every) else "")
        allowed = " or ".join(filter(None, map(_allowed, kinds)))
        row = [f"`{key}`", types, _default(field), allowed, meanings[key]]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """First line of a model's docstring, and the meaning of every key from its Attributes."""
    summary, _, rest = text.replace("``", "`").partition("\n")
    attributes = rest.partition("Attributes:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    (\S.*?): (.*(?:\n     .*)*)", attributes, re.MULTILINE)
    meanings = {key: " ".join(meaning.split()) for keys, meaning in entries for key in keys.split(", ")}
    return summary, {"schema": "Version of this format."} | meanings


def _type(kind: dict[str, Any]) -> str:
    if "$ref" in kind:
        return "table"
    return f"array of {_type(kind['items'])}s" if kind["type"] == "array" else kind["type"]


def _default(field: dict[str, Any]) -> str:
    if "default" not in field:
        return "required"
    value = field["default"]
    return "its defaults" if isinstance(value, dict) else f"`{json.dumps(False if value is None else value)}`"


def _allowed(kind: dict[str, Any]) -> str:
    match kind:
        case {"$ref": _}:
            return "keys below"
        case {"items": items, "minItems": n}:
            return f"each {_allowed(items)}; at least {n}"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"const": value} | {"pattern": value}:
            return f"`{value}`"
    return ", ".join(f"{sign} {kind[limit]:g}" for limit, sign in LIMITS.items() if limit in kind)


if __name__ == "__main__":
    PAGE.write_text(markdown(), encoding="utf-8")
