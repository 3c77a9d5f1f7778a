"""Rows as CSV (RFC 4180), a page at a time, so that a long list costs no more memory than a short one."""

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from fastapi.responses import StreamingResponse

MOST_ROWS: Final = 100_000
_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")

Rows = Sequence[Mapping[str, Any]]


def cell(value: Any) -> str:
    """A value as a spreadsheet shows it, which must never take text for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


async def csv_answer(name: str, columns: Sequence[str], pages: AsyncIterator[Rows]) -> StreamingResponse:
    """An answer with these columns of all rows, at most MOST_ROWS.

    The first page is made before the answer begins, so that what is wrong is answered as such.

    Raises:
        DatabaseUnavailable: the first page cannot be had.
    """
    first = await anext(pages, None) or ()
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(_text(columns, first, pages), media_type="text/csv; charset=utf-8", headers=headers)


async def _text(columns: Sequence[str], first: Rows, others: AsyncIterator[Rows]) -> AsyncIterator[str]:
    yield _lines([dict(zip(columns, columns, strict=True))], columns)
    count = len(first)
    yield _lines(first, columns)
    async for rows in others:
        if count >= MOST_ROWS:
            return
        yield _lines(rows[: MOST_ROWS - count], columns)
        count += len(rows)


def _lines(rows: Rows, columns: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([cell(row[column]) for column in columns])
    return out.getvalue()
