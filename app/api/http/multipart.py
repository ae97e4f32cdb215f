"""A multipart form whose file is written to disk as it arrives, so that it takes no memory."""

from __future__ import annotations

import asyncio
import re
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Final

from python_multipart.multipart import MultipartParser
from starlette.requests import Request

from app.core.errors import InvalidInput, UnsupportedMediaType, shown
from app.store.files import Draft

_BUFFERED = 1 << 20
_LONGEST_VALUE = 4096
_MOST_FIELDS = 20
_MOST_HEADER_BYTES: Final = 8192
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046, section 5.1.1: at most 70 characters."""


class Upload:
    """Reads a form.

    Attributes:
        filename: Name of the file, after `read`.
        fields: The other fields, after `read`.
    """

    def __init__(self, draft: Draft) -> None:
        self.filename: str | None = None
        self.fields: dict[str, str] = {}
        self._draft = draft
        self._waiting: list[bytes] = []
        self._size = 0
        self._headers: dict[str, str] = {}
        self._header, self._value = b"", b""
        self._header_bytes = self._parts = 0
        self._name, self._is_file, self._text = "", False, b""
        self._ended = False

    async def read(self, request: Request) -> None:
        """Write the `file` of the form to the draft.

        Raises:
            InvalidInput: The form is invalid.
            UnsupportedMediaType: The body is not a form.
            CeleriacError: The file is too large, or the disk is full.
        """
        boundary = _boundary(request.headers.get("content-type", ""))
        try:
            parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_part_end": self._end,
                    "on_end": self._on_end,
                },
            )
            async for chunk in request.stream():
                parser.write(chunk)
                if self._size >= _BUFFERED:
                    await self._flush()
            parser.finalize()
        except ValueError as error:  # FormParserError and UnicodeDecodeError are, and so is what an unknown charset raises
            reason = "its headers and its fields must be UTF-8" if isinstance(error, UnicodeDecodeError) else error
            raise InvalidInput(f"The form cannot be read: {reason}", pointer="") from None
        await self._flush()
        if not self._ended:
            raise InvalidInput("The form is cut off.", pointer="")
        if self.filename is None:
            raise InvalidInput("The form has no file. Send one, for example with curl -F file=@rows.csv.", pointer="/file")

    async def _flush(self) -> None:
        data, self._waiting, self._size = b"".join(self._waiting), [], 0
        if data:
            await asyncio.to_thread(self._draft.write, data)

    def _begin(self) -> None:
        self._headers, self._header, self._value, self._text = {}, b"", b"", b""
        self._header_bytes = 0
        self._parts += 1
        if self._parts > _MOST_FIELDS + 1:
            raise InvalidInput(f"The form has more than {_MOST_FIELDS} fields.", pointer="")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._bound_headers(end - start)

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._bound_headers(end - start)

    def _bound_headers(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _MOST_HEADER_BYTES:
            raise InvalidInput(f"The headers of a part of the form are longer than {_MOST_HEADER_BYTES} bytes.", pointer="")

    def _on_header(self) -> None:
        self._headers[self._header.decode().lower()] = self._value.decode()
        self._header, self._value = b"", b""

    def _on_headers(self) -> None:
        disposition = Message()
        disposition["content-disposition"] = self._headers.get("content-disposition", "")
        given = disposition.get_params([], header="content-disposition")
        # A tuple is a parameter in the form of RFC 2231, as in filename*=UTF-8''na%C3%AFve.csv: it is preferred (RFC 6266, section 4.3).
        parameters = dict(sorted(given, key=lambda parameter: isinstance(parameter[1], tuple)))
        name, filename = parameters.get("name"), parameters.get("filename")
        if name is None:
            raise InvalidInput("A part of the form has no name.", pointer="")
        self._name, self._is_file = collapse_rfc2231_value(name), filename is not None
        if filename is None:
            return
        if self._name != "file" or self.filename is not None:
            raise InvalidInput("The form must have one file, in the field `file`.", pointer=f"/{self._name}")
        # The name only: some browsers send a whole path.
        self.filename = collapse_rfc2231_value(filename).replace("\\", "/").rpartition("/")[2][:255] or "file"

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._waiting.append(data[start:end])
            self._size += end - start
            return
        self._text += data[start:end]
        if len(self._text) > _LONGEST_VALUE:
            raise InvalidInput(f"Field {self._name} is longer than {_LONGEST_VALUE} bytes.", pointer=f"/{self._name}")

    def _end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._text.decode()

    def _on_end(self) -> None:
        self._ended = True


def _boundary(content_type: str) -> bytes:
    """Return what separates the parts of a form. Raises UnsupportedMediaType, or InvalidInput for an invalid boundary."""
    kind = Message()
    kind["content-type"] = content_type
    boundary = kind.get_param("boundary")
    if kind.get_content_type() != "multipart/form-data" or boundary is None:
        raise UnsupportedMediaType("Send the file as multipart/form-data, for example with curl -F file=@rows.csv.")
    text = collapse_rfc2231_value(boundary)
    if not _BOUNDARY.fullmatch(text):
        raise InvalidInput(f"The boundary of the form is {shown(text)}: RFC 2046 allows 1 to 70 characters.", pointer="")
    return text.encode()
