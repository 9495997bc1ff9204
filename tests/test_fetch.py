"""Downloads: go on where they stopped, and get their name only when they are what the card says."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neurosim.cards import DataFile, load_dataset
from neurosim.errors import DataNotFoundError, EventFileError
from neurosim.events.fetch import fetch

CONTENT = bytes(range(256)) * 40


class Server(ThreadingHTTPServer):
    """Serves ``content`` at any path, as well or as badly as a test asks for."""

    content = CONTENT
    ranges = True
    stop_after: int | None = None
    announce_length = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append(asked)
        if self.path == "/gone":
            return self.send_error(404)
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/x")
            return self.end_headers()
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.server.ranges else 0
        if start >= len(self.server.content):
            return self.send_error(416)
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(self.server.content) - 1}/*")
        if self.server.announce_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.stop_after])
        return None

    def log_message(self, *args: Any) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def card(server: Server, path: str = "file", **change: Any) -> Any:
    """A data set of one file on this server."""
    url = f"http://127.0.0.1:{server.server_address[1]}/{path}"
    given = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "max_bytes": len(CONTENT)} | change
    return load_dataset("nmnist").model_copy(
        update={"files": (DataFile(name="set/file.bin", url=url, **given),)}
    )


def test_file_arrives_with_progress(server: Server, tmp_path: Path) -> None:
    seen = []
    files = fetch(card(server), tmp_path, progress=lambda *step: seen.append(step))
    assert files == [tmp_path / "set/file.bin"]
    assert files[0].read_bytes() == CONTENT
    assert seen[-1] == ("set/file.bin", len(CONTENT), len(CONTENT))
    assert list(files[0].parent.iterdir()) == files


def test_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    fetch(card(server), tmp_path)
    fetch(card(server), tmp_path)
    assert server.asked == [None]


def test_interrupted_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.stop_after = 4000
    with pytest.raises(DataNotFoundError, match=r"stopped after 4000 of 10240 bytes; run the command again"):
        fetch(card(server), tmp_path)
    assert not (tmp_path / "set/file.bin").exists()
    server.stop_after = None
    (file,) = fetch(card(server), tmp_path)
    assert file.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000-"]


def test_server_without_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.ranges, server.stop_after = False, 4000
    with pytest.raises(DataNotFoundError, match="stopped after 4000"):
        fetch(card(server), tmp_path)
    server.stop_after = None
    (file,) = fetch(card(server), tmp_path)
    assert file.read_bytes() == CONTENT


def test_download_that_is_complete_but_unnamed_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.bin.part").write_bytes(CONTENT)
    (file,) = fetch(card(server), tmp_path)
    assert file.read_bytes() == CONTENT


@pytest.mark.parametrize("announced", [True, False])
def test_wrong_bytes_leave_nothing_behind(server: Server, tmp_path: Path, announced: bool) -> None:
    server.content, server.announce_length = CONTENT[::-1], announced
    with pytest.raises(
        EventFileError, match=r"sha256 is \w{64}, the card says \w{64}; the download was thrown away"
    ):
        fetch(card(server), tmp_path)
    assert list((tmp_path / "set").iterdir()) == []


def test_too_long_a_file_is_given_up(server: Server, tmp_path: Path) -> None:
    with pytest.raises(EventFileError, match="longer than the 100 bytes that the card allows"):
        fetch(card(server, max_bytes=100), tmp_path)
    assert list((tmp_path / "set").iterdir()) == []


def test_wrong_file_of_the_user_is_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/file.bin").write_bytes(b"mine")
    with pytest.raises(EventFileError, match="move it away and fetch again"):
        fetch(card(server), tmp_path)
    assert (tmp_path / "set/file.bin").read_bytes() == b"mine"


def test_md5_alone_leaves_the_sha256_beside_the_file(server: Server, tmp_path: Path) -> None:
    (file,) = fetch(card(server, sha256=None, md5=hashlib.md5(CONTENT).hexdigest()), tmp_path)
    assert (
        file.with_name("file.bin.sha256").read_text() == f"{hashlib.sha256(CONTENT).hexdigest()}  file.bin\n"
    )


def test_sum_of_the_decompressed_bytes(server: Server, tmp_path: Path) -> None:
    server.content = gzip.compress(CONTENT)
    packed = card(server, decompressed=True)
    packed = packed.model_copy(update={"files": (packed.files[0].model_copy(update={"name": "x.gz"}),)})
    (file,) = fetch(packed, tmp_path)
    assert gzip.decompress(file.read_bytes()) == CONTENT
    file.unlink()
    server.content = b"not gzip"
    with pytest.raises(EventFileError, match="cannot be read or decompressed"):
        fetch(packed, tmp_path)


def test_refusals_of_the_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="the server answers 404 Not Found"):
        fetch(card(server, "gone"), tmp_path)
    with pytest.raises(DataNotFoundError, match=r"redirects to http://127\.0\.0\.1:1/x, which is not https"):
        fetch(card(server, "elsewhere"), tmp_path)


def test_server_that_is_not_there(server: Server, tmp_path: Path) -> None:
    unreachable = card(server)
    server.server_close()
    server.shutdown()
    with pytest.raises(DataNotFoundError, match="run the command again to go on"):
        fetch(unreachable, tmp_path)


@pytest.mark.parametrize("change", [{"url": "http://example.org/x"}, {"url": "file:///x"}, {"name": "../x"}])
def test_card_cannot_name_unsafe_places(change: dict[str, str]) -> None:
    given = {"name": "x", "url": "https://example.org/x", "sha256": "0" * 64, "max_bytes": 1} | change
    with pytest.raises(ValidationError, match=next(iter(change))):
        DataFile.model_validate(given)


def test_data_set_that_ships_needs_nothing(tmp_path: Path) -> None:
    assert fetch(load_dataset("mnist-saccades"), tmp_path) == []


def test_real_files_are_what_the_card_says(real_data: Path) -> None:
    mnist = load_dataset("mnist-saccades-full")
    if not all((real_data / file.name).exists() for file in mnist.files):
        pytest.skip(f"no mnist in {real_data}")
    assert len(fetch(mnist, real_data)) == 4
