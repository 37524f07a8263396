"""The corpus `climbmix`: parquet shards of karpathy/climbmix-400b-shuffle, fetched over HTTP and verified.

A shard that lies in the cache under its own name is complete and its checksum was right; next to it lies its sha256.
`REGATTA_CLIMBMIX_URL` names a mirror. Sealed.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from corpus import PrepareError, Split
from dataset import say

DEFAULT_URL = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main"
VAL_SHARD = 6542  # pinned, as in autoresearch: its last shard
TEST_SHARD = 6541
READ_BYTES = 1 << 20
OFFLINE = "without a network: --corpus embedded"


@dataclass
class ClimbMix:
    """Web text for the GPU scale. The sizes are autoresearch's own; tests make them small."""

    cache: Path  # where shards are kept
    train_shards: int = 10
    vocab_size: int = 8192
    seq_len: int = 2048
    val_tokens: int = 40 * 524_288
    test_tokens: int = 40 * 524_288
    attempts: int = 5  # for each shard
    retry_wait_s: float = 1.0  # before the second attempt; doubles each time
    timeout_s: float = 30.0  # silence on the line
    name: str = "climbmix"
    url: str = field(default_factory=lambda: os.environ.get("REGATTA_CLIMBMIX_URL", DEFAULT_URL).rstrip("/"))
    _sha256: dict[str, str] = field(default_factory=dict)

    def key(self) -> str:
        settings = (1, self.url, self.train_shards, self.vocab_size, self.seq_len, self.val_tokens, self.test_tokens)
        return f"climbmix-{self.train_shards}x{self.vocab_size}-{hashlib.sha256(repr(settings).encode()).hexdigest()[:8]}"

    def shards(self, split: Split) -> list[str]:
        """File names of a split's shards."""
        numbers = {"train": range(self.train_shards), "val": (VAL_SHARD,), "test": (TEST_SHARD,)}[split]
        return [f"shard_{number:05d}.parquet" for number in numbers]

    def documents(self, split: Split) -> Iterator[str]:
        for name in self.shards(split):
            path = self.cache / name
            with _Lock(self.cache / f".{name}.lock"):  # two preparations share one cache
                if not path.exists():
                    self._download(name, path)
            digest_file = path.with_suffix(".sha256")
            if not digest_file.exists():
                digest_file.write_text(_sha256_of(path))
            self._sha256[name] = digest_file.read_text()
            yield from _texts(path)

    def about(self) -> dict[str, object]:
        return {"source": self.url, "shards": dict(sorted(self._sha256.items()))}

    def _download(self, name: str, path: Path) -> None:
        """Attempts with growing pauses; what has arrived is kept between attempts and between runs."""
        url, part, wait_s, problem = f"{self.url}/{name}", path.with_suffix(".part"), self.retry_wait_s, ""
        for attempt in range(1, self.attempts + 1):
            try:
                say(f"fetching {url}")
                expected = _fetch(url, part, self.timeout_s)
                actual = _sha256_of(part)
                if expected is not None and actual != expected:
                    part.unlink()
                    raise _RetryError(f"its sha256 is {actual[:12]}…, the server announced {expected[:12]}…")
                _verify_parquet(part)
                path.with_suffix(".sha256").write_text(actual)
                part.replace(path)
                return
            except urllib.error.HTTPError as error:
                problem = f"HTTP {error.code} {error.reason}"
                error.close()
                if error.code < 500 and error.code not in (408, 429):
                    break
            except (_RetryError, OSError, http.client.HTTPException) as error:
                problem = str(getattr(error, "reason", None) or error) or type(error).__name__
            if attempt < self.attempts:
                say(f"  {problem}; again in {wait_s:.1f} s")
                time.sleep(wait_s)
                wait_s *= 2
        raise PrepareError(
            f"could not fetch {url} in {attempt} attempt{'s' * (attempt > 1)} ({problem}): check the network or name a "
            f"mirror in REGATTA_CLIMBMIX_URL; {OFFLINE}"
        )


class _RetryError(Exception):
    """The attempt failed in a way that another may not."""


class _RememberETag(urllib.request.HTTPRedirectHandler):
    """The hub announces a file's sha256 on the redirect, not where the redirect leads to."""

    sha256: str | None = None

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> Any:
        self.sha256 = _announced_sha256(headers) or self.sha256
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _announced_sha256(headers: Any) -> str | None:
    """The sha256 in X-Linked-ETag or ETag; None where those hold something else (an MD5, a version number)."""
    for header in ("X-Linked-ETag", "ETag"):
        value = (headers.get(header) or "").removeprefix("W/").strip('"')
        if re.fullmatch(r"[0-9a-f]{64}", value):
            return value
    return None


def _fetch(url: str, part: Path, timeout_s: float) -> str | None:
    """Brings `part` to full length, going on where it ends. Returns the announced sha256, if any.

    Raises _RetryError, OSError."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    redirects = _RememberETag()
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send: the part is whole, or it is not what the server has
            whole = _content_range_total(error.headers) == have
            error.close()
            if not whole:
                part.unlink()
                raise _RetryError("what had been fetched before does not fit the file; starting over") from None
            return redirects.sha256 or _announced_sha256(error.headers)
        raise
    with response:
        if have and response.status != 206:
            have = 0  # the server sends the whole file again
        expected_bytes = have + int(response.headers["Content-Length"]) if response.headers["Content-Length"] else None
        with part.open("ab" if have else "wb") as file:
            got = have + _copy(response, file)
    if expected_bytes is not None and got != expected_bytes:
        raise _RetryError(f"the connection ended after {got} of {expected_bytes} bytes")
    return redirects.sha256 or _announced_sha256(response.headers)


def _content_range_total(headers: Any) -> int | None:
    match = re.fullmatch(r"bytes \*/(\d+)", headers.get("Content-Range") or "")
    return int(match[1]) if match else None


def _copy(response: Any, file: IO[bytes]) -> int:
    """Bytes copied; an early end is no error here, the caller counts."""
    total = 0
    try:
        while block := response.read(READ_BYTES):
            total += file.write(block)
    except http.client.IncompleteRead as error:  # newer Pythons notice by themselves
        total += file.write(error.partial)
    return total


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify_parquet(part: Path) -> None:
    """Raises _RetryError unless the footer opens; a server's error page with status 200 ends here."""
    import pyarrow
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(part).names
    except (pyarrow.ArrowException, OSError) as error:
        part.unlink()
        raise _RetryError(f"what arrived is no parquet file ({str(error).splitlines()[0]})") from None
    if "text" not in names:
        part.unlink()
        raise _RetryError(f"the shard has the columns {names}, and no column 'text'")


def _texts(path: Path) -> Iterator[str]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns=["text"]).column("text").to_pylist()


class _Lock:
    """An exclusive advisory lock on a file, waited for."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w")

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()
