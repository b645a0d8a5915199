"""Reading server-sent events: what is written comes back, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.protocol.sse import Events, event

texts = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1).map(str.encode)


@given(st.lists(texts), st.lists(st.integers(0, 200)))
def test_events_come_back_however_they_are_cut(data: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(event, data))
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    reader, found = Events(1 << 20), list[bytes]()
    for begin, end in pairwise(places):
        found += reader.feed(stream[begin:end])
    assert found == data


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        pytest.param(b"data: 1\r\n\r\n", [b"1"], id="lines that end in CRLF"),
        pytest.param(b"data:1\n\n", [b"1"], id="no blank after the colon"),
        pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="data of two lines"),
        pytest.param(b": ping\n\nevent: x\nid: 7\n\n", [], id="events without data"),
        pytest.param(b"data: 1\n\ndata: 2\n", [b"1"], id="one that is not complete"),
    ],
)
def test_forms(stream: bytes, data: list[bytes]) -> None:
    assert Events(100).feed(stream) == data


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 20, b"data: x\n" * 5])
def test_an_event_has_a_limit(stream: bytes) -> None:
    with pytest.raises(ValueError, match="larger than 16 bytes"):
        Events(16).feed(stream)
