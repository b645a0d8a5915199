"""Quantities: exact, and written as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machinery.quantity import Quantity, QuantityError, parse_quantity
from sampan.machinery.suggest import did_you_mean, suggest


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("100m", "100m"),
        ("0.1", "100m"),
        ("1500m", "1500m"),
        ("1.5", "1500m"),
        ("1000", "1k"),
        ("1000m", "1"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1024", "1024"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("12E6", "12e6"),
        ("1E", "1E"),
        ("5.", "5"),
        (".5", "500m"),
        ("-5k", "-5k"),
        ("+2Gi", "2Gi"),
        ("1.0001n", "2n"),
        (2, "2"),
        (0.5, "500m"),
    ],
)
def test_the_canonical_form_of(text: Any, canonical: str) -> None:
    assert str(parse_quantity(text)) == canonical


@pytest.mark.parametrize(
    "text",
    ["", "m", "1 Gi", "1gi", "1KB", "1e", "--1", "1.2.3", "\u0661", True, "1" * 99, "nan", "1e999"],
)
def test_what_is_no_quantity_is_refused_with_its_text(text: Any) -> None:
    with pytest.raises(QuantityError, match="quantities must match the regular expression"):
        parse_quantity(text)


def test_quantities_compare_by_their_number() -> None:
    assert parse_quantity("1Gi") > parse_quantity("1G")
    assert parse_quantity("1000m") == parse_quantity("1")
    assert parse_quantity("1.5").ceiling() == 2


numbers = st.decimals(min_value=-(10**12), max_value=10**12, places=3, allow_nan=False)
suffixes = st.sampled_from(["n", "u", "m", "", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "e3", "E-2"])


@given(numbers, suffixes)
def test_the_canonical_form_is_the_same_number_and_a_fixed_point(
    number: Decimal, suffix: str
) -> None:
    quantity = parse_quantity(f"{number}{suffix}")
    again = parse_quantity(str(quantity))
    # What a binary form writes without a suffix is read as a decimal one, as upstream: 0.18Ti is
    # 197912093000, and that is 197912093k, which stays.
    assert str(again) == str(quantity) or (suffix.endswith("i") and str(quantity).isdigit())
    assert str(parse_quantity(str(again))) == str(again)
    # A binary form above 1024 has no fraction: it is rounded up, as upstream.
    assert again == quantity or again == Quantity(Decimal(quantity.ceiling()))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("sklern", "sklearn"),
        ("SKLEARN", "sklearn"),
        ("xgbost", "xgboost"),
        ("zzz", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_suggested(word: str, expected: str | None) -> None:
    assert suggest(word, ["sklearn", "xgboost", "onnx"]) == expected


def test_a_suggestion_ends_a_message() -> None:
    assert did_you_mean("modle", ["model"]) == '; did you mean "model"'
    assert did_you_mean("zzz", ["model"]) == ""
