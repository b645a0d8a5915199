"""The documents of shared processes: what is written is read again, and who answers to a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.mesh.documents import (
    UNIT_BYTES,
    ModelEntry,
    ModelReport,
    ModelState,
    Register,
    Report,
    decode_register,
    decode_report,
    encode_register,
    encode_report,
    make_weight,
)
from sampan.mesh.placements import (
    Placement,
    decode_placements,
    encode_placements,
    make_register,
)

WORDS = st.text(max_size=8)
ENTRIES = st.builds(
    ModelEntry, WORDS, WORDS, WORDS, st.integers(min_value=1, max_value=2**40), st.booleans()
)
REPORTS = st.builds(ModelReport, st.sampled_from(ModelState), WORDS, st.floats(0, 2e9))


@given(
    st.builds(
        Register,
        st.lists(ENTRIES, max_size=4).map(tuple),
        st.dictionaries(WORDS, WORDS, max_size=4),
        st.integers(0, 2**40),
        st.integers(1, 9),
        st.floats(0, 900),
    )
)
def test_a_register_is_read_as_it_was_written(register: Register):
    assert decode_register(encode_register(register)) == register


@given(st.builds(Report, st.integers(1, 9), st.dictionaries(WORDS, REPORTS, max_size=4)))
def test_a_report_is_read_as_it_was_written(report: Report):
    assert decode_report(encode_report(report)) == report


@given(st.lists(st.builds(Placement, WORDS, ENTRIES, st.none() | ENTRIES), max_size=4))
def test_placements_are_read_as_they_were_written(placements: list[Placement]):
    assert decode_placements(encode_placements(placements)) == tuple(placements)


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"models": [{}]}', b'{"models": 1}'])
@pytest.mark.parametrize("decode", [decode_register, decode_report, decode_placements])
def test_what_is_no_document_is_told(decode, text: bytes):
    if decode is decode_report and text == b'{"models": [{}]}':
        text = b'{"models": {"a": {}}}'
    if decode is decode_placements and text == b"{}":
        return  # an empty mapping has no placements
    with pytest.raises(ValueError):
        decode(text)


@pytest.mark.parametrize(
    ("size", "weight"),
    [
        pytest.param(0, UNIT_BYTES, id="nothing counts as one unit"),
        pytest.param(1000, UNIT_BYTES, id="a small model counts as one"),
        pytest.param(UNIT_BYTES, 2 * UNIT_BYTES, id="a model takes a quarter more than its files"),
        pytest.param(80 * UNIT_BYTES, 100 * UNIT_BYTES, id="eighty units of files, a hundred"),
    ],
)
def test_what_a_model_counts_for(size: int, weight: int):
    assert make_weight(size) == weight


OLD, NEW = (ModelEntry(f"red__isvc-{n}", "sklearn", f"/m/{n}", 1) for n in "12")


def test_the_first_model_of_a_service_has_its_name_at_once():
    register = make_register([Placement("red", NEW)])
    assert (register.names, register.models) == ({"red": NEW.id}, (NEW,))


def test_an_old_model_has_the_name_until_the_new_one_is_activated():
    placed = Placement("red", OLD).activated().placed(NEW)
    register = make_register([placed])
    assert (register.names, register.models) == ({"red": OLD.id}, (OLD, NEW))
    register = make_register([placed.activated()])
    assert (register.names, register.models) == ({"red": NEW.id}, (NEW,))


def test_going_back_to_the_old_model_forgets_the_new_one():
    placed = Placement("red", OLD).activated().placed(NEW).placed(OLD)
    assert make_register([placed]).models == (OLD,)
