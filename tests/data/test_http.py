"""Tables behind HTTP, from a server that misbehaves in every way that servers do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from pellucid.core.errors import DataError
from pellucid.data.sources import fetch
from pellucid.data.sources.fetch import Fetcher
from pellucid.data.tables import read_table
from pellucid.spec.model import ReadSpec

ROWS = [{"a": i * 0.5, "b": f"w{i % 3}", "y": i % 2} for i in range(60)]
CSV = "a,b,y\n" + "".join(f"{r['a']},{r['b']},{r['y']}\n" for r in ROWS)
PATIENCE = ReadSpec(timeout=0.5, retries=2)


class Handler(BaseHTTPRequestHandler):
    """`server.answers[path](handler, query)` answers."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        try:
            self.server.answers[parts.path](self, query)  # type: ignore[attr-defined]
        except (BrokenPipeError, ConnectionResetError):
            return

    def log_message(self, *args: object) -> None:
        return

    def send(self, body: str | bytes, kind: str = "application/json", status: int = 200, **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", headers.pop("length", str(len(data))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


class Server:
    def __init__(self) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.answers, self.http.asked = {}, []  # type: ignore[attr-defined]
        self.answers: dict[str, Callable[[Handler, dict[str, str]], None]] = self.http.answers  # type: ignore[attr-defined]
        self.asked: list[str] = self.http.asked  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "LONGEST_WAIT", 0.02)
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def rows(url: str, read: ReadSpec = PATIENCE) -> int:
    return len(read_table(url, "y", read=read).rows)


def refused(url: str, read: ReadSpec = PATIENCE) -> str:
    began = time.monotonic()
    with pytest.raises(DataError) as caught:
        read_table(url, "y", read=read)
    assert time.monotonic() - began < 15
    assert caught.value.where.startswith(url.partition("?")[0])
    return caught.value.what


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/x", "application/json", json.dumps(ROWS)),
        ("/x", "application/json; charset=utf-8", json.dumps({"n": 60, "items": ROWS})),
        ("/x", "application/problem+json", json.dumps(ROWS)),
        ("/x", "application/x-ndjson", "\n".join(map(json.dumps, ROWS))),
        ("/x", "text/csv", CSV),
        ("/x.csv", "text/plain", CSV),
        ("/x.csv", "application/octet-stream", CSV),
        ("/x", "text/plain", CSV),
    ],
)
def test_formats(path: str, kind: str, body: str, server: Server) -> None:
    server.answers[path] = lambda h, q: h.send(body, kind)
    table = read_table(server.url + path, "y", read=PATIENCE)
    assert [f.name for f in table.fields] == ["a", "b"]
    assert table.rows.fields["a"].tolist() == [r["a"] for r in ROWS]


def paged(h: Handler, number: int, size: int = 25, **options: Any) -> None:
    h.send(json.dumps(ROWS[(number - 1) * size : number * size]), **options)


def test_pages_by_link_header(server: Server) -> None:
    def answer(h: Handler, query: dict[str, str]) -> None:
        number = int(query.get("page", 1))
        link = f'</first>; rel="first", </x?page={number + 1}>; rel="next"' if number < 3 else ""
        paged(h, number, **({"Link": link} if link else {}))

    server.answers["/x"] = answer
    assert rows(server.url + "/x") == 60
    assert server.asked == ["/x", "/x?page=2", "/x?page=3"]


def test_pages_by_number(server: Server) -> None:
    server.answers["/x"] = lambda h, q: paged(h, int(q["p"]))
    assert rows(server.url + "/x?size=25", PATIENCE.model_copy(update={"page": "p"})) == 60
    assert server.asked == [f"/x?size=25&p={i}" for i in (1, 2, 3, 4)]  # the fourth is empty


def test_pages_by_key(server: Server) -> None:
    def answer(h: Handler, query: dict[str, str]) -> None:
        number = int(query.get("page", 1))
        following = f"{server.url}/x?page={number + 1}" if number < 3 else None
        h.send(json.dumps({"results": ROWS[(number - 1) * 25 : number * 25], "next": following}))

    server.answers["/x"] = answer
    assert rows(server.url + "/x") == 60


def test_pages_without_end_are_ended(server: Server) -> None:
    server.answers["/circle"] = lambda h, q: paged(h, 1, Link='</circle>; rel="next"')
    assert "in a circle" in refused(server.url + "/circle")
    server.answers["/same"] = lambda h, q: paged(h, 1)
    assert "page 2 repeats page 1" in refused(server.url + "/same", PATIENCE.model_copy(update={"page": "p"}))
    server.answers["/away"] = lambda h, q: paged(h, 1, Link='<http://localhost:1/x>; rel="next"')
    assert "the next page lies elsewhere" in refused(server.url + "/away")


def test_pages_with_other_columns_are_named(server: Server) -> None:
    bodies = {1: "a,y\n1,2\n3,4\n", 2: "a,z\n1,2\n"}
    server.answers["/x"] = lambda h, q: h.send(bodies[int(q["p"])], "text/csv")
    assert "p=2 has 'z' and lacks 'y'" in refused(server.url + "/x", PATIENCE.model_copy(update={"page": "p"}))


def test_a_passing_fault_is_passed(server: Server) -> None:
    left = [503, 429, 500]

    def answer(h: Handler, query: dict[str, str]) -> None:
        if left:
            h.send("later", "text/plain", left.pop(), Retry_After="1")
        else:
            h.send(CSV, "text/csv")

    server.answers["/x"] = answer
    assert rows(server.url + "/x", PATIENCE.model_copy(update={"retries": 3})) == 60
    assert len(server.asked) == 4


def test_a_lasting_fault_is_told_with_the_tries(server: Server) -> None:
    server.answers["/x"] = lambda h, q: h.send("no", "text/plain", 503)
    assert "after 3 tries: 503" in refused(server.url + "/x")
    assert len(server.asked) == 3
    server.answers["/gone"] = lambda h, q: h.send("no", "text/plain", 404)
    assert refused(server.url + "/gone") == "the server gave no table: 404 Not Found."
    assert len(server.asked) == 4  # what is not there is not asked for again


def test_a_slow_server_is_left(server: Server) -> None:
    server.answers["/x"] = lambda h, q: time.sleep(1.5)
    assert "timed out" in refused(server.url + "/x", ReadSpec(timeout=0.2, retries=1))


def test_an_answer_that_trickles_is_ended(server: Server) -> None:
    def answer(h: Handler, query: dict[str, str]) -> None:
        h.send("a,y\n", "text/csv", length="1000000")
        for _ in range(60):
            h.wfile.write(b"1,2\n")
            h.wfile.flush()
            time.sleep(0.05)

    server.answers["/x"] = answer
    assert "did not end within 1 s" in refused(server.url + "/x", ReadSpec(timeout=0.1, retries=0))


def test_an_endless_answer_is_ended(server: Server) -> None:
    def answer(h: Handler, query: dict[str, str]) -> None:
        h.send_response(200)
        h.send_header("Content-Type", "text/csv")
        h.end_headers()
        while True:
            h.wfile.write(b"1,2\n" * 50_000)

    server.answers["/x"] = answer
    assert "larger than 1 MB" in refused(server.url + "/x", ReadSpec(most_mb=1, retries=0))


def test_a_truncated_answer_is_asked_for_again(server: Server) -> None:
    left = [1]

    def answer(h: Handler, query: dict[str, str]) -> None:
        if left.pop() if left else 0:
            h.send(CSV[:200], "text/csv", length=str(len(CSV)))
            h.close_connection = True
        else:
            h.send(CSV, "text/csv")

    server.answers["/x"] = answer
    assert rows(server.url + "/x") == 60
    server.answers["/cut"] = lambda h, q: h.send(CSV[:200], "text/csv", length="900")
    assert "cut off after 200 of 900 bytes" in refused(server.url + "/cut")


def test_a_web_page_is_no_table(server: Server) -> None:
    server.answers["/x"] = lambda h, q: h.send("<html></html>", "text/html")
    assert refused(server.url + "/x") == "the server sent text/html, not a table."
    server.answers["/y"] = lambda h, q: h.send("<html>", "application/json")
    assert "broken in line 1, column 1" in refused(server.url + "/y")


def test_no_server_and_no_url() -> None:
    with pytest.raises(DataError, match="refused"):
        read_table("http://127.0.0.1:9/x", "y", read=ReadSpec(retries=0))
    with pytest.raises(DataError, match=r"no URL|no table"):
        read_table("http://[", "y", read=ReadSpec(retries=0))


def test_what_has_not_changed_is_not_sent_again(server: Server, tmp_path: Path) -> None:
    tag = ['"one"']

    def answer(h: Handler, query: dict[str, str]) -> None:
        if h.headers.get("If-None-Match") == tag[0]:
            h.send_response(304)
            h.end_headers()
        else:
            h.send(CSV if tag[0] == '"one"' else "a,b,y\n1,u,2\n2,v,3\n3,u,4\n", "text/csv", ETag=tag[0])

    server.answers["/x"] = answer
    first, second = Fetcher(1, 0, 10**6).get(server.url + "/x"), Fetcher(1, 0, 10**6).get(server.url + "/x")
    assert first == second
    assert rows(server.url + "/x") == 60
    for body in (tmp_path / "cache").glob("*.body"):  # damaged on disk: fetched again, not believed
        body.write_bytes(b"a,y\n1,2\n")
    assert rows(server.url + "/x") == 60
    tag[0] = '"two"'
    assert rows(server.url + "/x") == 3
