"""One HTTP request done carefully: retries with back-off, a deadline, a size cap, a cache by ETag."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pellucid.core.errors import DataError
from pellucid.core.version import __version__

AGAIN = (408, 425, 429, 500, 502, 503, 504)  # what may work a moment later
LONGEST_WAIT = 30.0  # seconds before another try
PIECE = 1 << 16


@dataclass(frozen=True)
class Answer:
    """What a server sent.

    Args:
        body: decompressed only if the file itself is: nothing is asked for in another coding.
        type, link, etag: headers, "" when absent.
    """

    body: bytes
    type: str = ""
    link: str = ""
    etag: str = ""


class Fetcher:
    """Fetches URLs.

    Args:
        timeout: seconds of silence, and a tenth of the seconds that one answer may take in all.
        retries: further tries after the first.
        most: bytes in all.
        cache: folder of the cache; `PELLUCID_CACHE`, else the user's cache folder.
    """

    def __init__(self, timeout: float, retries: int, most: int, cache: Path | None = None, pause: float = 0.5) -> None:
        self.timeout, self.retries, self.most, self.pause = timeout, retries, most, pause
        self.cache = cache or cache_folder()
        self.got = 0
        self._opener = urllib.request.build_opener(urllib.request.HTTPHandler, urllib.request.HTTPSHandler)

    def get(self, url: str) -> Answer:
        """The answer of a URL.

        Raises:
            DataError: it did not come: the last reason, and how often it was tried.
        """
        kept = self._kept(url)
        reason = ""
        for attempt in range(self.retries + 1):
            try:
                return self._once(url, kept)
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.reason}"
                if error.code == 304 and kept is not None:
                    return kept
                if error.code not in AGAIN:
                    break
                wait = _asked(error) or self.pause * 2**attempt
            except _Cut as error:
                reason, wait = str(error), self.pause * 2**attempt
            except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
                reason, wait = _short(error), self.pause * 2**attempt
            except ValueError as error:
                raise DataError(f"this is no URL: {error}.", where=url, mend="https://host/path") from None
            if attempt < self.retries:
                time.sleep(min(wait, LONGEST_WAIT))
        tries = f" after {attempt + 1} tries" if attempt else ""
        raise DataError(
            f"the server gave no table{tries}: {reason}.", where=url, mend="check the address, or try again later"
        )

    def _once(self, url: str, kept: Answer | None) -> Answer:
        headers = {"User-Agent": f"pellucid/{__version__}", "Accept": "application/json, text/csv, */*;q=0.5"}
        if kept is not None:
            headers["If-None-Match"] = kept.etag
        with self._opener.open(urllib.request.Request(url, headers=headers), timeout=self.timeout) as response:
            body = self._read(response, url)
            told = response.headers
            answer = Answer(body, told.get("Content-Type", ""), told.get("Link", ""), told.get("ETag", ""))
        self._keep(url, answer)
        self.got += len(body)
        return answer

    def _read(self, response: Any, url: str) -> bytes:
        expected = response.headers.get("Content-Length")
        end = time.monotonic() + 10 * self.timeout
        pieces, size = [], 0
        while piece := response.read1(PIECE):
            pieces.append(piece)
            size += len(piece)
            if self.got + size > self.most:
                raise DataError(
                    f"the answer is larger than {self.most / 1e6:,.0f} MB.",
                    where=url,
                    mend="ask the server for less, fetch the file yourself, or raise data.read.most_mb",
                )
            if time.monotonic() > end:
                raise DataError(
                    f"the answer did not end within {10 * self.timeout:g} s ({size:,} bytes so far).",
                    where=url,
                    mend="fetch the file yourself, or raise data.read.timeout",
                )
        if expected is not None and expected.isdigit() and size < int(expected):
            raise _Cut(f"it was cut off after {size:,} of {int(expected):,} bytes")
        return b"".join(pieces)

    def _paths(self, url: str) -> tuple[Path, Path]:
        name = hashlib.sha256(url.encode()).hexdigest()[:32]
        return self.cache / f"{name}.body", self.cache / f"{name}.json"

    def _kept(self, url: str) -> Answer | None:
        body, about = self._paths(url)
        try:
            told = json.loads(about.read_text())
            data = body.read_bytes()
            if hashlib.sha256(data).hexdigest() != told.pop("sha256"):
                return None
            return Answer(data, **told)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _keep(self, url: str, answer: Answer) -> None:
        if not answer.etag:
            return
        body, about = self._paths(url)
        told = {key: value for key, value in asdict(answer).items() if key != "body"}
        told["sha256"] = hashlib.sha256(answer.body).hexdigest()
        try:  # a cache that cannot be written is no reason to fail
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path, data in ((body, answer.body), (about, json.dumps(told).encode())):
                part = path.with_name(f"{path.name}.{os.getpid()}")
                part.write_bytes(data)
                part.replace(path)
        except OSError:
            return


class _Cut(Exception):
    """The answer ended before its announced length."""


def cache_folder() -> Path:
    if named := os.environ.get("PELLUCID_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid" / "http"


def _asked(error: urllib.error.HTTPError) -> float:
    """Seconds that the server asks to wait."""
    told = error.headers.get("Retry-After", "") if error.headers else ""
    return float(told) if told.isdigit() else 0.0


def _short(error: Exception) -> str:
    inner = getattr(error, "reason", None) or error
    return (str(inner) or type(inner).__name__).rstrip(".")
