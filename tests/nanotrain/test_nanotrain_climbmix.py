"""The real download and preparation of `climbmix`, against a server on the loopback that misbehaves on purpose."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nanotrain_data import prepare

SIZES = ("--corpus", "climbmix", "--train-shards", "2", "--vocab-size", "300", "--seq-len", "64",
         "--val-tokens", "2048", "--test-tokens", "1024")  # fmt: skip


@dataclass
class Hub:
    """Serves shards as the hub does: a redirect that announces the sha256, then the bytes, Range understood."""

    files: dict[str, bytes]
    faults: dict[str, list[str]] = field(default_factory=dict)  # of a file: what its next answers do wrong
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # path and Range of every request for bytes
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.rsplit("/", 1)[-1]
        body = self.files.get(name)
        if body is None:
            return _reply(request, 404, b"")
        if not request.path.startswith("/cdn/"):
            digest = hashlib.sha256(body).hexdigest()
            return _reply(request, 302, b"", {"Location": f"{self.url}/cdn/{name}", "X-Linked-ETag": f'"{digest}"'})
        asked = request.headers.get("Range")
        self.requests.append((name, asked))
        fault = self.faults.get(name, []).pop(0) if self.faults.get(name) else ""
        if fault == "500":
            return _reply(request, 500, b"")
        if fault == "wrong":
            return _reply(request, 200, body[:-9] + b"corrupted")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if first >= len(body):
            return _reply(request, 416, b"", {"Content-Range": f"bytes */{len(body)}"})
        ranges = {"Content-Range": f"bytes {first}-{len(body) - 1}/{len(body)}"} if asked else {}
        return _reply(request, 206 if asked else 200, body[first:], ranges, cut=fault == "truncated")


def _reply(
    request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None, cut: bool = False
) -> None:
    request.send_response(status)
    for name, value in {"ETag": '"not-a-digest"', "Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body[: len(body) // 2] if cut else body)


def _shard(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    words = ["water", "boat", "rudder", "naïve", "wind", "crew", "日本", "sail", "of", "the", "and", "regatta"]
    texts = [" ".join(rng.choice(words, size=int(rng.integers(5, 120)))) for _ in range(120)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), sink, row_group_size=50)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def shards() -> dict[str, bytes]:
    return {f"shard_{number:05d}.parquet": _shard(number) for number in (0, 1, 6541, 6542)}


@pytest.fixture
def hub(shards: dict[str, bytes]) -> Iterator[Hub]:
    hub = Hub(dict(shards))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        server.shutdown()


def test_prepares_from_shards_and_then_needs_no_server(hub: Hub, tmp_path: Path) -> None:
    first = prepare(tmp_path, *SIZES, REGATTA_CLIMBMIX_URL=hub.url)
    folder = Path(json.loads(first.stdout.splitlines()[-1])["data_dir"])
    meta = json.loads((folder / "meta.json").read_text())
    assert (meta["corpus"], meta["vocab_size"], meta["seq_len"]) == ("climbmix", 300, 64)
    assert (meta["val_rows"], meta["test_rows"]) == (32, 16)
    assert meta["shards"] == {name: hashlib.sha256(body).hexdigest() for name, body in hub.files.items()}
    val = np.fromfile(folder / "val.bin", "<u2").reshape(-1, 65)
    assert (val[:, 0] == 0).all()
    assert meta["train_tokens"] * 2 == (folder / "train.bin").stat().st_size
    assert np.count_nonzero(np.fromfile(folder / "train.bin", "<u2") == 0) == 240  # a BOS for each document
    asked = len(hub.requests)
    assert asked == 4
    again = prepare(tmp_path, *SIZES, REGATTA_CLIMBMIX_URL=hub.url)
    assert again.stdout == first.stdout
    assert len(hub.requests) == asked


def _fetch_one(hub: Hub, cache: Path) -> list[str]:
    from climbmix import ClimbMix

    corpus = ClimbMix(cache, train_shards=1, url=hub.url, attempts=3, retry_wait_s=0.01, timeout_s=5.0)
    return list(corpus.documents("train"))


def test_a_server_error_is_tried_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults["shard_00000.parquet"] = ["500"]
    assert len(_fetch_one(hub, tmp_path)) == 120
    assert len(hub.requests) == 2


def test_a_truncated_body_is_resumed_where_it_ended(hub: Hub, tmp_path: Path) -> None:
    hub.faults["shard_00000.parquet"] = ["truncated"]
    assert len(_fetch_one(hub, tmp_path)) == 120
    half = len(hub.files["shard_00000.parquet"]) // 2
    assert hub.requests == [("shard_00000.parquet", None), ("shard_00000.parquet", f"bytes={half}-")]
    assert (tmp_path / "shard_00000.parquet").read_bytes() == hub.files["shard_00000.parquet"]
    assert not (tmp_path / "shard_00000.part").exists()


@pytest.mark.parametrize("left", [lambda body: body, lambda body: body + b"too much", lambda body: b"?" + body[1:]])
def test_what_an_earlier_run_left_is_verified_too(hub: Hub, tmp_path: Path, left: Callable[[bytes], bytes]) -> None:
    body = hub.files["shard_00000.parquet"]
    (tmp_path / "shard_00000.part").write_bytes(left(body))
    assert len(_fetch_one(hub, tmp_path)) == 120
    assert (tmp_path / "shard_00000.parquet").read_bytes() == body


def test_a_wrong_checksum_is_tried_again_then_told(hub: Hub, tmp_path: Path) -> None:
    from corpus import PrepareError

    hub.faults["shard_00000.parquet"] = ["wrong"]
    assert len(_fetch_one(hub, tmp_path / "once")) == 120
    hub.faults["shard_00000.parquet"] = ["wrong"] * 3
    with pytest.raises(PrepareError, match=r"in 3 attempts \(its sha256 is .*the server announced .*--corpus embedded"):
        _fetch_one(hub, tmp_path / "always")
    assert not list((tmp_path / "always").glob("*.parquet"))


def test_a_page_that_is_no_parquet_file_is_told(hub: Hub, tmp_path: Path) -> None:
    from corpus import PrepareError

    hub.files["shard_00000.parquet"] = b"<html>log in first</html>"
    with pytest.raises(PrepareError, match="what arrived is no parquet file"):
        _fetch_one(hub, tmp_path)


def _fails(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    return error


def test_a_missing_shard_is_not_asked_for_twice(hub: Hub, tmp_path: Path) -> None:
    del hub.files["shard_00001.parquet"]
    error = _fails(prepare(tmp_path, *SIZES, check=False, REGATTA_CLIMBMIX_URL=hub.url))
    assert re.search(r"could not fetch http://.*/shard_00001.parquet in 1 attempt \(HTTP 404", error)
    assert not [path for path in tmp_path.iterdir() if path.name != "climbmix-shards"]  # no half-made folder


def test_no_network_names_the_url_and_the_way_out(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"  # a port on which nobody listens
    error = _fails(prepare(tmp_path, *SIZES, "--attempts", "1", check=False, REGATTA_CLIMBMIX_URL=nobody))
    assert f"could not fetch {nobody}/shard_00000.parquet in 1 attempt " in error
    assert "refused" in error
    assert "--corpus embedded" in error
