"""Download the files of a data set: resumable, checked, and under their names only when they are right."""

import hashlib
import http.client
import lzma
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from neurosim import store
from neurosim.cards import DataFile, DatasetCard
from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events.idx import open_compressed

CHUNK = 2**20
TIMEOUT = 60  # [s] without a byte

# called with the name of a file, its bytes so far and its size (None where the server does not tell)
Progress = Callable[[str, int, int | None], None]


def fetch(card: DatasetCard, folder: Path, *, progress: Progress | None = None) -> list[Path]:
    """Bring the files of a data set into ``folder``; those that are there and right are kept.

    An interrupted download stays as ``NAME.part`` and goes on where it stopped. Where the publisher gives no
    SHA-256, the one that was seen is written to ``NAME.sha256``: it proves nothing about this download,
    but tells whether two are the same.

    Args:
        card: Says where the files are, how long they may be, and their checksums.
        folder: Folder of the data sets.
        progress: Called while bytes arrive.

    Returns:
        The files; none where the data set ships with neurosim.

    Raises:
        DataNotFoundError: If the server does not answer, refuses, or stops before the end.
        EventFileError: If a file, downloaded or there before, is not what the card says.
    """
    return [
        _fetch(file, folder / file.name, progress or (lambda _name, _done, _total: None))
        for file in card.files
    ]


def _fetch(file: DataFile, target: Path, progress: Progress) -> Path:
    if target.exists():
        if wrong := _wrong(file, target):
            raise EventFileError(f"{target}: {wrong}; move it away and fetch again")
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    _download(file, part, progress)
    if wrong := _wrong(file, part):
        part.unlink()
        raise EventFileError(
            f"{file.url}: {wrong}; the download was thrown away: try again, or get {target} yourself"
        )
    if file.sha256 is None:
        store.write_text(target.with_name(f"{target.name}.sha256"), f"{store.sha256(part)}  {target.name}\n")
    part.replace(target)
    return target


def _download(file: DataFile, part: Path, progress: Progress) -> None:
    """Append to ``part`` what is missing of it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "neurosim", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    again = "run the command again to go on"
    try:
        with _OPENER.open(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT) as response:
            resumed = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            have = have if resumed else 0
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            with part.open("ab" if resumed else "wb") as out:
                while chunk := response.read(CHUNK):
                    have += len(chunk)
                    if have > file.max_bytes:
                        break
                    out.write(chunk)
                    progress(file.name, have, total)
    except urllib.error.HTTPError as why:
        if why.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the checksum says whether it is right
        raise DataNotFoundError(f"{file.url}: the server answers {why.code} {why.reason}") from None
    except (OSError, http.client.HTTPException) as why:
        raise DataNotFoundError(f"{file.url}: {why}; {again}") from None
    if have > file.max_bytes:
        part.unlink()
        raise EventFileError(f"{file.url}: longer than the {file.max_bytes} bytes that the card allows")
    if total is not None and have < total:
        raise DataNotFoundError(f"{file.url}: stopped after {have} of {total} bytes; {again}")


def _wrong(file: DataFile, path: Path) -> str | None:
    """What is wrong with the bytes at ``path``; None where they are what the card says."""
    for name, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected is None:
            continue
        try:
            with open_compressed(path, Path(file.name).suffix if file.decompressed else "") as stream:
                found = _digest(stream, name)
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as why:
            return f"cannot be read or decompressed: {why}"
        if found != expected:
            return f"{name} is {found}, the card says {expected}"
    return None


def _digest(stream: IO[bytes], name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to anything else."""

    def redirect_request(self, req: urllib.request.Request, *how: Any) -> urllib.request.Request | None:
        """The request to go on with; the last of ``how`` is the new address."""
        if urlsplit(how[-1]).scheme != "https":
            raise urllib.error.URLError(f"redirects to {how[-1]}, which is not https")
        return super().redirect_request(req, *how)


_OPENER = urllib.request.build_opener(_SafeRedirects)
