"""A table behind HTTP: JSON, CSV or Parquet, page by page, with retries, a size cap and a cache by ETag."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from pellucid.core.errors import DataError
from pellucid.data.quarantine import Quarantine
from pellucid.data.sources.fetch import Answer, Fetcher
from pellucid.data.sources.files import LINES, Reader, Same, read_file, reader_of
from pellucid.data.sources.located import Located
from pellucid.data.sources.opened import Chunk, Opened
from pellucid.data.sources.records import read_json, table_of
from pellucid.spec.model import ReadSpec

MOST_PAGES = 10_000
TYPES = {  # content type -> format
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "text/csv": ".csv",
    "application/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.apache.arrow.file": ".arrow",
}
UNTOLD = ("", "text/plain", "application/octet-stream", "binary/octet-stream", "application/gzip")
NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel\s*=\s*"?next"?', re.IGNORECASE)


def open_http(url: str, read: ReadSpec) -> Opened:
    """The pages of an API or a file on a web server.

    The next page is that of the `Link` header (rel="next", RFC 8288), of a JSON key `next`, or the next number of the
    parameter that `read.page` names, until a page is empty.
    """
    opened = Opened(url, iter(()), Quarantine("row"))
    opened.chunks = _pages(url, read, opened)
    return opened


def _pages(url: str, read: ReadSpec, opened: Opened) -> Iterator[Chunk]:
    same = Same()
    fetcher = Fetcher(read.timeout, read.retries, read.most_mb * 1_000_000)
    seen: set[str] = set()
    before = b""
    number = 1
    here: str | None = _with_page(url, read.page, number) if read.page else url
    while here is not None:
        if here in seen or number > MOST_PAGES:
            raise DataError(
                f"the pages go in a circle: page {number} is {here} again."
                if here in seen
                else f"there are more than {MOST_PAGES} pages.",
                where=here,
                mend="is the pagination of this API another one? see data.read.page",
            )
        seen.add(here)
        answer = fetcher.get(here)
        if number > 1 and answer.body == before:
            raise DataError(f"page {number} repeats page {number - 1}.", where=here, mend="check data.read.page")
        reader, chunks = _chunks(answer, here, read, opened)
        rows = 0
        for chunk in chunks:
            rows += len(chunk.frame)
            if len(chunk.frame) or number == 1:
                yield same(chunk, reader)
        before = answer.body
        number += 1
        here = _following(answer, here, url, read, number, rows)


def _chunks(answer: Answer, url: str, read: ReadSpec, opened: Opened) -> tuple[Reader, Iterator[Chunk]]:
    file = Located(url.partition("?")[0], lambda: io.BytesIO(answer.body), len(answer.body), _format(answer, url))
    reader = reader_of(file)
    opened.quarantine.unit = "line" if reader in LINES else "record" if reader is read_json else "row"
    if reader is read_json and read.page and _empty(answer, read):
        return reader, iter(())
    file = Located(url, file.opener, file.size, file.kind)  # pages are told apart by their parameters
    return reader, read_file(file, reader, read, opened)


def _format(answer: Answer, url: str) -> str:
    """A suffix by the content type; by the path where that says nothing.

    Raises:
        DataError: it is a web page.
    """
    kind = answer.type.partition(";")[0].strip().lower()
    if kind in TYPES:
        return TYPES[kind]
    if kind.endswith("+json"):
        return ".json"
    if kind not in UNTOLD:
        raise DataError(
            f"the server sent {kind}, not a table.",
            where=url,
            mend="give the address of the data themselves (JSON, CSV, Parquet), not of a page about them",
        )
    return ""


def _empty(answer: Answer, read: ReadSpec) -> bool:
    try:
        value = json.loads(answer.body)
        return value in (None, {}) or not table_of(value, read.records, "")
    except (ValueError, DataError, RecursionError):
        return False


def _following(answer: Answer, here: str, url: str, read: ReadSpec, number: int, rows: int) -> str | None:
    if read.page:
        return _with_page(url, read.page, number) if rows else None
    found = NEXT.search(answer.link)
    following = found.group(1) if found else _next_key(answer)
    if not following:
        return None
    joined = str(urljoin(here, following))
    if urlsplit(joined).scheme not in ("http", "https") or urlsplit(joined).netloc != urlsplit(url).netloc:
        raise DataError(
            f"the next page lies elsewhere: {joined}.", where=here, mend="give the address of that server itself"
        )
    return joined


def _next_key(answer: Answer) -> str | None:
    """`{"results": [...], "next": "..."}`."""
    if not answer.body.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(answer.body).get("next")
    except (ValueError, RecursionError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def _with_page(url: str, parameter: str, number: int) -> str:
    parts = urlsplit(url)
    query = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k != parameter]
    return str(urlunsplit(parts._replace(query=urlencode([*query, (parameter, str(number))]))))
