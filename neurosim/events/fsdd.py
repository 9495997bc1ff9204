"""FSDD: isolated English digits of six speakers (Jackson et al. 2018, doi:10.5281/zenodo.1342401).

A recording is a file ``<digit>_<speaker>_<take>.wav``, mono, 8 kHz, 16 bit. Takes 0 to 4 of every digit and
speaker are the official test part, the others the training part.
"""

import re
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events.sound import MAX_BYTES, Waveform, decode_wav

CLASSES = tuple("0123456789")
TEST_TAKES = 5

_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[A-Za-z][A-Za-z0-9-]*)_(?P<take>[0-9]{1,6})\.wav")
_MAX_MEMBERS = 100_000
_MAX_TOTAL = 1 << 32  # bytes of all recordings, a hundred times those of FSDD: they are decoded in memory


@dataclass(frozen=True, order=True)
class Recording:
    """Where one recording stands; sorted by take, speaker and digit.

    Attributes:
        take: Number of the recording among those of its speaker and digit.
        speaker: Name of the speaker.
        label: The digit, a class index.
        path: The ``.wav`` file, or the archive that holds it.
        member: Name inside the archive; empty for a file of its own.
        size: Number of bytes.
        modified: When the file was changed last [ns].
    """

    take: int
    speaker: str
    label: int
    path: Path
    member: str
    size: int
    modified: int

    def __str__(self) -> str:
        """Name for messages."""
        return f"{self.path}!{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Name in the data set, wherever the file stands."""
        return f"{self.label}_{self.speaker}_{self.take}"


def list_recordings(path: Path, split: str) -> list[Recording]:
    """Recordings of one part of FSDD, sorted by take, speaker and digit; only names and sizes are read.

    Args:
        path: The folder ``recordings``, or a ``.tar.gz`` of the repository.
        split: ``"test"`` (takes 0 to 4) or ``"train"`` (the others).

    Raises:
        DataNotFoundError: If there is no such folder or archive, or no recording of this part in it.
        EventFileError: If a ``.wav`` file has an unexpected name or size, all together are too large, or the
            archive is damaged.
    """
    if not path.exists():
        raise DataNotFoundError(f"{path}: no such folder or archive of FSDD recordings")
    found = []
    total = 0
    for name, member, size, modified in _members(path) if path.is_file() else _files(path):
        fields = _NAME.fullmatch(name)
        if fields is None:
            raise EventFileError(
                f"{path}: {name}: unexpected name, files are named <digit>_<speaker>_<take>.wav"
            )
        if size > MAX_BYTES:
            raise EventFileError(f"{path}: {name}: {size} bytes, a recording has at most {MAX_BYTES}")
        total += size
        if total > _MAX_TOTAL:
            raise EventFileError(f"{path}: more than {_MAX_TOTAL} bytes of recordings; is it the right data?")
        take = int(fields["take"])
        if (take < TEST_TAKES) == (split == "test"):
            file = path if member else path / name
            digit = int(fields["digit"])
            found.append(Recording(take, fields["speaker"], digit, file, member, size, modified))
    if not found:
        raise DataNotFoundError(f"{path}: no {split} recordings, expected files <digit>_<speaker>_<take>.wav")
    return sorted(found)


def read_recordings(recordings: Sequence[Recording]) -> list[Waveform]:
    """Sounds of these recordings; an archive is read in memory, from beginning to end, and never unpacked.

    Raises:
        EventFileError: If a file cannot be read or does not hold what its format says.
    """
    raw: dict[Recording, bytes] = {}
    for archive in {recording.path for recording in recordings if recording.member}:
        raw |= _read_archive(archive, {r.member: r for r in recordings if r.path == archive})
    for recording in recordings:
        if not recording.member:
            try:
                raw[recording] = recording.path.read_bytes()
            except OSError as why:
                raise EventFileError(f"{recording}: cannot be read: {why}; get it again") from None
    if missing := [str(recording) for recording in recordings if recording not in raw]:
        raise EventFileError(f"{missing[0]}: no longer in the archive; get it again")
    return [decode_wav(raw[recording], str(recording)) for recording in recordings]


def _files(folder: Path) -> list[tuple[str, str, int, int]]:
    listed = []
    for file in folder.glob("*.wav"):
        if not file.name.startswith("."):
            stat = file.stat()
            listed.append((file.name, "", stat.st_size, stat.st_mtime_ns))
    return listed


def _members(path: Path) -> list[tuple[str, str, int, int]]:
    modified = path.stat().st_mtime_ns
    listed = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for i, info in enumerate(archive):
                if i >= _MAX_MEMBERS:
                    raise EventFileError(f"{path}: more than {_MAX_MEMBERS} files; is it the right archive?")
                folder, _, name = info.name.rpartition("/")
                if info.isfile() and folder.endswith("recordings") and name.endswith(".wav"):
                    listed.append((name, info.name, info.size, modified))
    except (OSError, EOFError, zlib.error, tarfile.TarError) as why:
        raise EventFileError(f"{path}: not a readable .tar.gz: {why}; fetch it again") from None
    return listed


def _read_archive(path: Path, wanted: dict[str, Recording]) -> dict[Recording, bytes]:
    raw = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for info in archive:
                recording = wanted.get(info.name)
                file = archive.extractfile(info) if recording is not None and info.isfile() else None
                if recording is not None and file is not None:
                    raw[recording] = file.read(recording.size)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as why:
        raise EventFileError(f"{path}: not a readable .tar.gz: {why}; fetch it again") from None
    return raw
