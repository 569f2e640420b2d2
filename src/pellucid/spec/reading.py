"""The section that says how files and answers of servers are read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pellucid.spec.section import Count, Positive, Section, Share


class ReadSpec(Section):
    """How files and answers of servers are read; what is left out is found out."""

    encoding: str | None = Field(default=None, description="of text; by default a byte order mark, UTF-8 or cp1252")
    separator: str | None = Field(default=None, min_length=1, max_length=1, description="of the cells of a CSV file")
    decimal: Literal[".", ","] | None = Field(default=None, description="decimal mark of numbers in text")
    records: str | None = Field(
        default=None, min_length=1, description="the key of a JSON value under which its rows lie, as in data.items"
    )
    page: str | None = Field(default=None, min_length=1, description="the parameter of a URL that counts pages, from 1")
    timeout: Positive = Field(default=30.0, description="seconds that a server may be silent; ten times as many in all")
    retries: int = Field(default=4, ge=0, le=20, description="further tries of a request, after 0.5, 1, 2, ... seconds")
    most_mb: Count = Field(default=256, description="megabytes that a server may send in all")
    bad_rows: Share = Field(
        default=0.1, description="share of rows that may be set aside as unreadable; above it, an error"
    )
