"""The header blocks of one HTTP/2 connection, decoded in their order (HPACK, RFC 7541).

While the compression state stays the same (all fields come from the tables, the steady state of
every peer) equal bytes mean equal fields, so that who reads them may remember what they mean.
"""

from __future__ import annotations

import logging

import hpack
from hpack.exceptions import OversizedHeaderListError
from hpack.hpack import Decoder

from sampan.wire.http2_frames import Code, ConnectionFault
from sampan.wire.message import HeaderList

logging.getLogger("hpack").setLevel(logging.WARNING)  # it would format every field at DEBUG


class BlockDecoder:
    """Decodes blocks; `most` bytes of headers are taken, which `whose` describes in messages."""

    def __init__(self, most: int, whose: str) -> None:
        self._decoder = Decoder(most)
        self._most = most
        self._whose = whose

    def decode(self, block: bytes) -> tuple[HeaderList, bool]:
        """Return the fields, and whether the table is the same as before; ConnectionFault.

        Inserts come first and evictions last, so a table of the same length and limit that begins
        with the same entry has the same entries. (Kept alive here, an entry's identity is its own.)
        """
        table = self._decoder.header_table
        entries = table.dynamic_entries
        first, size, limit = entries[0] if entries else None, len(entries), table.maxsize
        try:
            fields = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            text = f"{self._whose} headers are larger than {self._most} bytes; send less"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, text) from None
        except (hpack.HPACKError, IndexError, ValueError) as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR, f"header block: {error}") from None
        same = (
            (entries[0] if entries else None) is first
            and len(entries) == size
            and table.maxsize == limit
        )
        return fields, same  # type: ignore[return-value]  # raw fields are pairs of bytes
