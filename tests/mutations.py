"""Files that are damaged or made to harm, from a good one: for tests/test_export_safety.py and the fuzzer."""

import hashlib
import io
import json
import random
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

HEAD = 512


def sealed(data: bytes) -> bytes:
    """The file with the right sum at its beginning, as an attacker would write it."""
    schema = data[:HEAD].partition(b" sha256=")[0]
    mark = hashlib.sha256(data[HEAD:]).hexdigest().encode()
    return (schema + b" sha256=" + mark + b"\n").ljust(HEAD, b"\0") + data[HEAD:]


# ---- bytes -----------------------------------------------------------------------------------------


def flip(data: bytes, draw: random.Random) -> bytes:
    """Some bits."""
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8, 64])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def cut(data: bytes, draw: random.Random) -> bytes:
    """The beginning."""
    return data[: draw.randrange(len(data))]


def splice(data: bytes, draw: random.Random) -> bytes:
    """A piece overwritten, doubled or left out."""
    start, n = draw.randrange(len(data)), draw.choice([1, 2, 4, 8, 64, 1024])
    piece = draw.choice([b"\0" * n, b"\xff" * n, draw.randbytes(n), data[start : start + 2 * n], b""])
    return data[:start] + piece + data[start + n :]


BYTES: list[Callable[[bytes, random.Random], bytes]] = [flip, cut, splice]


# ---- structure -------------------------------------------------------------------------------------


def replace(file: Any, name: str, values: Any, **options: Any) -> None:
    """Another dataset in the place of one, with the sum and the unit that make it look right."""
    unit = file[name].attrs.get("unit", b"1")
    del file[name]
    dataset = file.create_dataset(name, data=values, **options)
    dataset.attrs["unit"] = unit
    if values is not None and getattr(values, "dtype", np.dtype("O")).kind in "iuf":
        dataset.attrs["sha256"] = np.bytes_(
            hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        )


def _value(value: float) -> Callable[[Any, str, random.Random], None]:
    def change(file: Any, name: str, draw: random.Random) -> None:
        values = file[name][()]
        if not np.size(values) or values.dtype.kind not in "iuf":
            return
        with np.errstate(all="ignore"):
            real = values.dtype.kind == "f"
            wide = values.astype(np.float64 if real else np.int64)
            whole = np.nan_to_num(value, nan=-(2.0**40)).clip(-(2.0**62), 2.0**62)
            wide.flat[draw.randrange(wide.size)] = value if real else int(whole)
        replace(file, name, wide)

    change.__name__ = f"value_{value:g}"
    return change


def delete(file: Any, name: str, _: random.Random) -> None:
    """Missing."""
    del file[name]


def soft_link(file: Any, name: str, _: random.Random) -> None:
    """A link within the file."""
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere")


def external_link(file: Any, name: str, _: random.Random) -> None:
    """A link to another file."""
    del file[name]
    file[name] = h5py.ExternalLink("/etc/passwd", "/")


def external_data(file: Any, name: str, _: random.Random) -> None:
    """Numbers that are said to stand in another file."""
    shape = file[name].shape or (1,)
    del file[name]
    file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def virtual(file: Any, name: str, _: random.Random) -> None:
    """Numbers that are gathered from another file."""
    shape = file[name].shape or (1,)
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def retype(file: Any, name: str, draw: random.Random) -> None:
    """Strings, objects, compounds, complex numbers, arrays of arrays."""
    shape = file[name].shape or (1,)
    n = min(int(np.prod(shape)), 64)
    del file[name]
    kind = draw.randrange(5)
    if kind == 0:
        file.create_dataset(name, data=np.array([b"x"] * n))
    elif kind == 1:
        file.create_dataset(name, data=["x"] * n, dtype=h5py.string_dtype())
    elif kind == 2:
        file.create_dataset(name, shape, np.dtype([("a", "f4"), ("b", "i4")]))
    elif kind == 3:
        file.create_dataset(name, shape, "c8")
    else:
        file.create_dataset(name, shape, h5py.vlen_dtype(np.int32))


def reshape(file: Any, name: str, draw: random.Random) -> None:
    """Other axes."""
    values = file[name][()]
    if np.size(values) and values.dtype.kind in "iuf":
        replace(file, name, draw.choice([values.ravel(), values[None], values[..., :-1], values.ravel()[0]]))


def bomb(file: Any, name: str, draw: random.Random) -> None:
    """A few bytes that declare more than there is."""
    dtype = file[name].dtype if file[name].dtype.kind in "iuf" else "f4"
    n_axes = len(file[name].shape)
    side = draw.choice([10**9, 2**20, 2**31]) if n_axes < 3 else 2**14
    shape = tuple([side] * max(n_axes, 1))
    chunk = tuple(
        [draw.choice([1, 2**9]) if n_axes > 1 else draw.choice([64, min(side, 2**28)])] * len(shape)
    )
    unit = file[name].attrs.get("unit", b"1")
    del file[name]
    file.create_dataset(name, shape, dtype, chunks=chunk, compression="gzip").attrs["unit"] = unit


def packed(file: Any, name: str, draw: random.Random) -> None:
    """Filters that need code from elsewhere, or nobody has."""
    values = file[name][()]
    if np.size(values) > 1 and values.dtype.kind in "iu" and values.ndim:
        replace(file, name, values, chunks=True, scaleoffset=0)
    elif np.size(values) > 1 and values.ndim:
        replace(file, name, values, chunks=True, compression="lzf")


def unit(file: Any, name: str, draw: random.Random) -> None:
    """Another unit, or none."""
    if draw.random() < 0.5:
        file[name].attrs["unit"] = draw.choice([b"uS", b"", b"kg", 7, [1.0, 2.0]])
    else:
        del file[name].attrs["unit"]


def attribute(file: Any, _: str, draw: random.Random) -> None:
    """A number of the root, wrong in any way."""
    name = draw.choice(sorted(file.attrs))
    wrong = [
        -1,
        0,
        2**31,
        2**62,
        1.5,
        np.nan,
        np.inf,
        b"x",
        "x" * 10,
        np.zeros(3),
        np.zeros((0,)),
        b"\xff" * 8,
    ]
    file.attrs[name] = draw.choice(wrong)


def group(file: Any, name: str, _: random.Random) -> None:
    """A group, or a cycle of them."""
    del file[name]
    file[name] = file["/"]


def text(file: Any, _: str, draw: random.Random) -> None:
    """Other JSON, or none."""
    if "design" not in file:
        return
    name = draw.choice(["design/experiment", "design/experiment", "design/classes", "design/versions"])
    said = json.loads(bytes(file[name][()]))
    kind = draw.randrange(6)
    raw = [b"[" * 100_000, b"not json", b"\xff\xfe", b"{}", b"[1, 2]", b""][kind]
    if name.endswith("experiment") and draw.random() < 0.7:
        place = said
        while isinstance(place, dict) and place:
            key = draw.choice(sorted(place))
            if not isinstance(place[key], dict) or draw.random() < 0.1:
                place[key] = draw.choice(
                    [-1, 10**9, "../../etc/passwd.toml", None, [], {}, 1e300, "x" * 100, True]
                )
                break
            place = place[key]
        raw = json.dumps(said).encode()
    del file[name]
    dataset = file.create_dataset(name, data=np.bytes_(raw or b"x"))
    dataset.attrs["sha256"] = np.bytes_(hashlib.sha256(raw or b"x").hexdigest())
    dataset.attrs["unit"] = b"1"


STRUCTURE: list[Callable[[Any, str, random.Random], None]] = [
    *map(_value, (float("nan"), -1.0, -1e-9, 1e30, 2.0**31, 0.0, 1.0)),
    *(delete, soft_link, external_link, external_data, virtual, retype, reshape, bomb, packed, unit),
    *(attribute, attribute, attribute, group, text, text),
]


def datasets(data: bytes) -> list[str]:
    """Names of all datasets."""
    names: list[str] = []
    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def mutate(data: bytes, seed: int) -> tuple[str, bytes]:
    """A mutation by its number: its name and the file."""
    draw = random.Random(seed)
    if draw.random() < 0.5:
        change = draw.choice(BYTES)
        changed = change(data, draw)
        resealed = draw.random() < 0.7 and len(changed) > HEAD
        return f"{change.__name__}{' sealed' if resealed else ''}", sealed(changed) if resealed else changed
    edit = draw.choice(STRUCTURE)
    name = draw.choice(datasets(data))
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        edit(file, name, draw)
    return f"{edit.__name__} sealed", sealed(buffer.getvalue())
