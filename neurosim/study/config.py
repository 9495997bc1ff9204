"""What a study is: a base experiment, what changes of it, and what is asked."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from neurosim.cards import shipped_folder
from neurosim.config import StrictModel, read_toml, validate
from neurosim.errors import ExperimentError, did_you_mean
from neurosim.experiment import Experiment, load_experiment
from neurosim.study.compare.config import CompareConfig
from neurosim.study.ranges import Range, flat
from neurosim.study.search import SearchConfig
from neurosim.study.sensitivity import SensitivityConfig

INLINE = {"from", "keys", "low"}  # tables that stand in a line, so that axes keep their order
Kind = Literal["sweep", "search", "sensitivity", "compare"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Value = bool | int | float | str
Values = Annotated[tuple[Value, ...], Field(min_length=1, strict=False)]


class Span(StrictModel):
    """Evenly spaced values of an axis; of a random design, the interval that it draws from.

    Attributes:
        from_: First value (``from`` in TOML).
        to: Last value.
        n: How many values.
        scale: Whether the values or their logarithms are evenly spaced.
    """

    from_: int | float = Field(alias="from")
    to: int | float
    n: int = Field(2, ge=2)
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        Range(low=self.from_, high=self.to, scale=self.scale)
        return self


class Joint(StrictModel):
    """An axis whose value is given to several keys at once.

    Attributes:
        keys: Dotted keys of the experiment.
        values: Values, or their span.
    """

    keys: tuple[str, ...] = Field(min_length=1, strict=False)
    values: Values | Span


def _flat_axes(data: Any) -> Any:
    return flat(data, lambda value: bool({"from", "values"} & value.keys()))


Axes = Annotated[dict[str, Values | Span | Joint], BeforeValidator(_flat_axes)]


class SweepConfig(StrictModel):
    """Points of a design, each run on several chips.

    Attributes:
        chips: Device instances of every point; None takes the base experiment's.
        seeds: Seeds of the random streams, as one more axis; empty takes the base experiment's.
        design: ``grid``: every combination; ``random``; ``sobol``: scrambled Sobol points, which fill evenly.
        n_points: Points of a random or Sobol design; more of them go on where fewer stopped.
        axes: Dotted key of the experiment, or a name for several, to its values.
    """

    chips: int | None = Field(None, ge=1)
    seeds: tuple[int, ...] = Field((), strict=False)
    design: Literal["grid", "random", "sobol"] = "grid"
    n_points: int | None = Field(None, ge=1)
    axes: Axes = Field(min_length=1)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.design == "grid") == (self.n_points is not None):
            said = "has as many as its axes make; remove it" if self.n_points else "needs it; add it"
            raise ValueError(f"n_points: design '{self.design}' {said}")
        if self.seeds and "seed" in self.axes:
            raise ValueError("seeds and the axis 'seed' say the same; remove one")
        return self


class StudyConfig(StrictModel):
    """A study.

    Attributes:
        name: Name in reports, and of the study in its storage.
        base: Experiment that all points start from.
        sweep, search, sensitivity, compare: What is asked of it; exactly one.
    """

    schema_: Literal["neurosim.study/1"] = Field(alias="schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    base: Experiment
    sweep: SweepConfig | None = None
    search: SearchConfig | None = None
    sensitivity: SensitivityConfig | None = None
    compare: CompareConfig | None = None

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"a study needs exactly one of {', '.join(f'[{kind}]' for kind in KINDS)}")
        return self

    @property
    def kind(self) -> Kind:
        """What is asked."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def experiment(self) -> Experiment:
        """The base experiment, with the study's number of chips."""
        chips = self.sweep.chips if self.sweep else None
        return self.base.model_copy(update={"chips": chips}) if chips else self.base

    @property
    def stages(self) -> tuple[Self, ...]:
        """Itself; of a comparison its trials, and then its tested fits, each a study of its own."""
        if self.compare is None or self.compare.n_trials == 1:
            return (self,)
        return self.model_copy(update={"name": f"{self.name}-trials"}), self

    def to_json(self) -> dict[str, Any]:
        """The study as plain data, with its base experiment inlined."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def load_study(source: Path | str, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study's TOML file.

    Args:
        source: The file, or the name of a shipped example.
        overrides: ``key=value`` with a TOML value. A key of the study (``sweep.chips``) changes the study,
            every other one (``data.train.n``) its base experiment.

    Raises:
        ExperimentError: If the file, its base, a key or a value is wrong.
    """
    path = Path(source)
    if path.suffix != ".toml" and not path.is_file():
        examples = {file.stem: file for file in (shipped_folder("examples") / "studies").glob("*.toml")}
        if str(source) not in examples:
            raise ExperimentError(
                f"unknown study '{source}'; {did_you_mean(str(source), examples)} "
                "(your own study: give the path of its .toml)"
            )
        path = examples[str(source)]
    data = read_toml(path, ExperimentError)
    changes = flat(data.pop("set", {}), lambda _value: False)
    for override in overrides:
        key, value = _parse(override)
        own = key.split(".")[0] in KINDS or key == "name"
        data, changes = (with_values(data, {key: value}), changes) if own else (data, changes | {key: value})
    base = data.get("base")
    if isinstance(base, str):
        beside = path.parent / base
        found = load_experiment(beside if base.endswith(".toml") else base)
        base = found.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(base, dict):
        data["base"] = with_values(base, changes)
    return validate(StudyConfig, data, where=str(path), error=ExperimentError)


def with_values(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a table of TOML data in which dotted keys have new values; an empty text takes a key out.

    Raises:
        ExperimentError: If a part of a key is a value.
    """
    changed = dict(data)
    for key, value in values.items():
        head, _, rest = key.partition(".")
        table = changed.get(head, {})
        if rest and not isinstance(table, Mapping):
            raise ExperimentError(f"{key}: '{head}' is a value, not a table; shorten the key")
        changed[head] = with_values(table, {rest: value}) if rest else value
        if not rest and value == "":
            del changed[head]
    return changed


def to_toml(data: Mapping[str, Any], table: str = "") -> str:
    """Plain data as TOML; None becomes false, which says the same."""
    lines = [f"[{table}]"] if table else []
    tables = []
    for key, value in data.items():
        name = key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)
        if isinstance(value, Mapping) and not value.keys() & INLINE:
            tables.append(to_toml(value, f"{table}.{name}" if table else name))
        else:
            lines.append(f"{name} = {_toml_value(value)}")
    return "\n".join([*lines, "", *tables] if lines else tables)


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(False if value is None else value, ensure_ascii=False)


def _parse(override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    if not separator or not key.strip() or not text.strip():
        raise ExperimentError(f"--set {override}: expected key=value, e.g. sweep.chips=3")
    try:
        return key.strip(), tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), text.strip()
