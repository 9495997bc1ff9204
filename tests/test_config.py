"""Strict models: what they refuse, how they say it, and their fingerprint."""

import re
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, model_validator

from neurosim import errors
from neurosim.config import StrictModel, fingerprint, read_toml, validate
from neurosim.errors import CardError, ExperimentError, did_you_mean


class Inner(StrictModel):
    width: int = Field(1, ge=1)
    height: int = 1


class Outer(StrictModel):
    schema_: Literal["a/1"] = Field("a/1", alias="schema")
    size: float = 1.0
    kind: Literal["dense", "sparse"] = "dense"
    inner: Inner = Inner()
    maybe: Inner | None = None
    flag: bool | None = None
    many: tuple[Inner, ...] = Field((), strict=False)
    named: dict[str, Inner] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _sum(self) -> Self:
        if self.size == 13:
            raise ValueError("size (=13) is unlucky; take 12")
        return self


def refusal(data: object) -> str:
    with pytest.raises(ExperimentError) as caught:
        validate(Outer, data, where="file.toml", error=ExperimentError)  # type: ignore[arg-type]
    return str(caught.value)


# ---- messages --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sizes": 1}, "file.toml: sizes: unknown key; did you mean 'size'?"),
        ({"schem": "a/1"}, "schem: unknown key; did you mean 'schema'?"),
        ({"inner": {"widht": 1}}, "inner.widht: unknown key; did you mean 'width'?"),
        ({"inner": {"zzz": 1}}, "inner.zzz: unknown key; known: height, width"),
        ({"maybe": {"hight": 1}}, "maybe.hight: unknown key; did you mean 'height'?"),
        ({"many": [{}, {"with": 1}]}, "many.1.with: unknown key; did you mean 'width'?"),
        ({"named": {"train": {"with": 1}}}, "named.train.with: unknown key; did you mean 'width'?"),
        ({"inner": 3}, "inner: .*Inner.* \\(got 3\\)"),
        ({"kind": "dens"}, "kind: Input should be 'dense' or 'sparse' \\(got 'dens'\\)"),
        ({"inner": {"width": 0}}, "inner.width: .*greater than or equal to 1 \\(got 0\\)"),
        ({"size": 13.0}, "^file.toml: \\(file\\): size \\(=13\\) is unlucky; take 12$"),
        ([], "^file.toml: \\(file\\): .*dictionary"),
    ],
)
def test_a_refusal_names_place_key_and_remedy(data: object, message: str) -> None:
    text = refusal(data)
    assert re.search(message, text), text


def test_missing_keys() -> None:
    class Model(StrictModel):
        schema_: str = Field(alias="schema")
        n: int

    with pytest.raises(CardError, match=r"card: schema: missing; add it\ncard: n: missing; add it"):
        validate(Model, {}, where="card", error=CardError)


def test_every_problem_at_once() -> None:
    assert len(refusal({"sizes": 1, "kind": "x", "inner": {"width": 0}}).splitlines()) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", "1.0"),
        ("size", float("nan")),
        ("size", float("inf")),
        ("size", True),
        ("inner", {"width": 1.0}),
    ],
)
def test_nothing_is_converted_in_silence(key: str, value: object) -> None:
    assert f"file.toml: {key}" in refusal({key: value})


def test_what_toml_can_say_is_accepted() -> None:
    data = {"schema": "a/1", "size": 2, "many": [{"width": 2}], "maybe": False, "flag": False}
    model = validate(Outer, data, where="x", error=ExperimentError)
    assert (model.size, model.many[0].width, model.maybe, model.flag) == (2.0, 2, None, False)


def test_models_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Outer().size = 2.0  # type: ignore[misc]


def test_false_says_none_where_a_key_may_be_none_and_nowhere_else() -> None:
    assert "size: " in refusal({"size": False})
    assert "maybe: " in refusal({"maybe": True})
    assert validate(Outer, {"inner": Inner(), "maybe": Inner()}, where="", error=ExperimentError).maybe


# ---- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = = 2\n", "not valid TOML: .*line 2"),
        (b"a = 1\na = 2\n", "not valid TOML: "),
        (b'a = "\xff"', "cannot be read as text"),
        (None, "no such file"),
    ],
)
def test_file_that_is_not_toml(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "card.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CardError, match=f"{re.escape(str(file))}: {message}"):
        read_toml(file, CardError)


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="cannot be read as text"):
        read_toml(tmp_path, ExperimentError)


# ---- fingerprints ----------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES))
def test_fingerprint_does_not_depend_on_the_order_of_keys(data: dict[str, object]) -> None:
    assert fingerprint(dict(reversed(data.items()))) == fingerprint(data)


def test_fingerprint_sees_every_value() -> None:
    parts = [(), (1,), (1.5,), ("1",), (1, 2), ([1, 2],), ({"a": 1},), ({"a": 2},), (None,), (True,)]
    models = [(Inner(),), (Inner(width=2),), (Outer(inner=Inner(width=2)),)]
    prints = [fingerprint(*part) for part in (*parts, *models)]
    assert len(set(prints)) == len(prints)
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in prints)


def test_fingerprint_of_a_model_is_that_of_its_data() -> None:
    assert fingerprint({"x": Inner(width=3)}) == fingerprint({"x": {"height": 1, "width": 3}})


def test_fingerprint_refuses_what_has_no_canonical_text() -> None:
    """The text of a long array leaves its middle out."""
    with pytest.raises(AttributeError, match="model_dump"):
        fingerprint(np.arange(10))


# ---- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("taox", ["ideal", "taox_1t1r"], "did you mean 'taox_1t1r'?"),
        ("xyz", ["b", "a"], "known: a, b"),
        ("xyz", [], "known: none"),
        ("", ["a"], "known: a"),
    ],
)
def test_did_you_mean(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, iter(known)) == hint


def test_every_error_is_ours_and_a_builtin_one() -> None:
    classes = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(classes) == 11
    for error in classes:
        assert issubclass(error, errors.NeurosimError)
        assert error.__name__ in (errors.__doc__ or "")
        builtin = [base for base in error.__mro__ if base.__module__ == "builtins"]
        assert error is errors.NeurosimError or builtin[0] is not Exception
