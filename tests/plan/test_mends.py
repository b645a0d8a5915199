"""Every reason that Sampan can give has a mend of its own, in the form of an order."""

from __future__ import annotations

import importlib
import string

import pytest

from sampan.plan.mends import MENDS, UNDER_WAY, make_mend

GENERAL = {make_mend(link, "", "NAME") for link in ("download", "environment", "load", "route")}


def test_every_reason_in_the_source_has_a_mend_or_needs_none() -> None:
    scan = importlib.import_module("tools.reference.reason_scan")
    found = set(scan.find_reasons())
    assert len(found) > 60
    assert found - set(MENDS) - UNDER_WAY == set()


def test_what_goes_on_needs_no_mend() -> None:
    assert set(MENDS) & UNDER_WAY == set()


@pytest.mark.parametrize("reason", sorted(MENDS))
def test_a_mend_is_an_order_of_its_own(reason: str) -> None:
    mend = make_mend("load", reason, "iris")
    assert mend not in GENERAL
    assert mend[0] in string.ascii_lowercase
    assert mend[-1] not in ".;, "
    assert "{" not in mend
    assert "  " not in mend


def test_a_mend_names_the_service_where_a_command_needs_it() -> None:
    assert make_mend("load", "Unhealthy", "iris").endswith("sampan logs iris")


def test_a_reason_that_is_not_ours_is_mended_by_its_link() -> None:
    assert make_mend("load", "LicenceMissing", "iris").endswith("sampan logs iris")
    assert make_mend("download", "LicenceMissing", "iris").startswith("check that")
    assert make_mend("decision", "LicenceMissing", "iris") == "change what the message names"
