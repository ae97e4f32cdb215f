"""What the nouns of the API have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from celeriac._async.transport import AsyncTransport

Record = dict[str, Any]
Records = list[Record]
_PAGE: Final = 100


class AsyncResource:
    """A noun of the API: its lists, page by page."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Use the connections of a client."""
        self._transport = transport

    async def _pages(self, path: str, limit: int | None, **query: Any) -> AsyncIterator[Record]:
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            page = await self._transport.get(path, cursor=cursor, limit=_PAGE if left is None else min(left, _PAGE), **query)
            for record in page["items"]:
                yield record
            cursor = page.get("next")
            if cursor is None:
                return
            left = None if left is None else left - len(page["items"])

    async def _items(self, path: str, **query: Any) -> Records:
        page = await self._transport.get(path, **query)
        items: Records = page["items"]
        return items
