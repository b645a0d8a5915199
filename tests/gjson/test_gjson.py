"""The condition language, as gjson's documents and KServe's examples use it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.gjson.compare import MISSING
from sampan.gjson.find import exists, find
from sampan.gjson.glob import fits
from sampan.gjson.parse import PathError, parse_path

NEWS = {"predictions": [{"class": "news"}], "source": "client", "instances": [{"data": 0.7}]}

CONDITIONS = {
    "a bare word in an object made an array": (
        "[@this].#(decision_picker==ERROR)",
        {"decision_picker": "ERROR"},
        {"decision_picker": "OK"},
    ),
    "another bare word": ("[@this].#(source==client)", NEWS, {"source": "server"}),
    "a number is compared as one": (
        "instances.#(intval>10)",
        {"instances": [{"intval": 9}, {"intval": 10.5}]},
        {"instances": [{"intval": 10}]},
    ),
    "a pattern": (
        "instances.#(strval%*red-server*)",
        {"instances": [{"strval": "the red-server 1"}]},
        {"instances": [{"strval": "the blue-server"}]},
    ),
    "a quoted number fits text and number": (
        'instances.#(modelId=="1")',
        {"instances": [{"modelId": "1"}]},
        {"instances": [{"modelId": "2"}]},
    ),
    "a quoted word": (
        'predictions.#(label=="dog")',
        {"predictions": [{"label": "cat"}, {"label": "dog"}]},
        {"predictions": [{"label": "cat"}]},
    ),
    "an index inside a query": (
        '[@this].#(predictions.0=="dog")',
        {"predictions": ["dog", "cat"]},
        {"predictions": ["cat", "dog"]},
    ),
    "a path of several steps inside a query": (
        '[@this].#(predictions.0.class=="news")',
        NEWS,
        {"predictions": [{"class": "sport"}]},
    ),
    "at most": ("[@this].#(instances.0.data<=0.5)", {"instances": [{"data": 0.5}]}, NEWS),
    "above": (
        "[@this].#(instances.0.data>0.6)",
        NEWS,
        {"instances": [{"data": 0.6}]},
    ),
    "above, as documented": (
        "[@this].#(instances.0.data>0.9)",
        {"instances": [{"data": 0.91}]},
        {"instances": [{"data": 0.9}]},
    ),
    "unlike a pattern": (
        "instances.#(strval!%*red-server*)",
        {"instances": [{"strval": "the blue-server"}]},
        {"instances": [{"strval": "the red-server 1"}]},
    ),
    "both, which gjson reads as text": (
        "[@this].#(instances.0.data>0.5 && instances.0.data<=0.9)",
        NEWS,
        {"instances": [{"data": 0.95}]},
    ),
    "one or the other": (
        "[@this].#(source==server || predictions.0.class==news)",
        NEWS,
        {"source": "client"},
    ),
    "a member that exists": ("predictions.0.class", NEWS, {"predictions": []}),
    "null is there": ("a", {"a": None}, {"b": 1}),
}


@pytest.mark.parametrize("row", CONDITIONS)
def test_a_condition_holds_for_the_one_and_not_for_the_other(row: str) -> None:
    text, holds, fails = CONDITIONS[row]
    path = parse_path(text)
    assert exists(holds, path)
    assert not exists(fails, path)


FRIENDS = {
    "name": {"first": "Tom", "last": "Anderson"},
    "age": 37,
    "children": ["Sara", "Alex", "Jack"],
    "fav.movie": "Deer Hunter",
    "@odd": 1,
    "friends": [
        {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"], "on": True},
        {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"], "on": False},
        {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"], "none": None},
    ],
}

FINDS = {
    "name.last": "Anderson",
    "name|last": "Anderson",
    "name.first.more": MISSING,
    "age": 37,
    "children": ["Sara", "Alex", "Jack"],
    "children.0": "Sara",
    "children.3": MISSING,
    "children.-1": MISSING,
    "children.99999999999999999999": MISSING,
    "children.#": 3,
    "age.#": MISSING,
    "child*.2": "Jack",
    "c?ildren.0": "Sara",
    "fav\\.movie": "Deer Hunter",
    "@odd": 1,
    "friends.#.first": ["Dale", "Roger", "Jane"],
    "friends.#.none": [None],
    "friends.#.first|0": "Dale",
    "friends.#.first.0": [],
    "friends.#|first": MISSING,
    "friends.1.last": "Craig",
    "friends.1|@keys|0": "first",
    'friends.#(last=="Murphy").first': "Dale",
    'friends.#(last=="Murphy")#.first': ["Dale", "Jane"],
    'friends.#(last=="Murphy")#|first': MISSING,
    'friends.#(last=="Murphy")#|1.first': "Jane",
    "friends.#(age>45)#.last": ["Craig", "Murphy"],
    "friends.#(age>=47)#.age": [68, 47],
    "friends.#(age!=44)#.age": [68, 47],
    "friends.#(age=44).first": "Dale",
    'friends.#(first%"D*").last': "Murphy",
    'friends.#(first!%"D*").last': "Craig",
    "friends.#(on==true).first": "Dale",
    "friends.#(on<true).first": "Roger",
    "friends.#(none==null).first": MISSING,
    "friends.#(none==~null).first": "Dale",
    "friends.#(on==~false)#.first": ["Roger", "Jane"],
    "friends.#(on==~true)#.first": ["Dale"],
    "friends.#(on==~*)#.first": ["Dale", "Roger"],
    "friends.#(none).first": "Jane",
    'friends.#(nets.#(=="fb"))#.first': ["Dale", "Roger"],
    'friends.#(nets.#(%"*g"))#.first': ["Dale", "Jane"],
    "friends.#(first==0).age": MISSING,
    "friends.#(age==Dale).first": MISSING,
    "friends.#(nope==1)#": [],
    "friends.#(nope==1)": MISSING,
    "name.#(first==Tom)": MISSING,
    "children.#(!=Sara)": "Alex",
    "children.#(>Jack)": "Sara",
    "[name.first,age,nope]": ["Tom", 37],
    '{name.first,"years":age,nope}': {"first": "Tom", "years": 37},
    "[age].0": 37,
    "{}": {},
    "children|@reverse": ["Jack", "Alex", "Sara"],
    "children.@reverse.0": "Jack",
    "name.@values": ["Tom", "Anderson"],
    "[children,[age]].@flatten": ["Sara", "Alex", "Jack", 37],
    '[[[age]]].@flatten:{"deep":true}': [37],
    "[name,{age}].@join": {"first": "Tom", "last": "Anderson", "age": 37},
    "age.@tostr": "37",
    "age.@tostr.@fromstr": 37,
    "name.first.@fromstr": MISSING,
    "@this.age": 37,
    "name.@this.first": "Tom",
    "name.@valid.last": "Anderson",
    "name.@pretty.last": "Anderson",
    "name|@ugly|last": "Anderson",
    "[@this].#(age==37).name.first": "Tom",
    "name.\\first": "Tom",
    "frie*.#(age>60).na*": MISSING,
    "frie*.#(age>60).la*": "Craig",
    "{first:children,children}.@group.1": MISSING,
    "!7": 7,
    '!"text"': "text",
    "[!true,age]": [True, 37],
    "": MISSING,
}
FINDS["{first:children,children}.@group.1"] = {"children": "Alex"}


@pytest.mark.parametrize("text", FINDS)
def test_a_path_finds(text: str) -> None:
    found = find(FRIENDS, parse_path(text))
    expected = FINDS[text]
    assert found is expected if expected is MISSING else found == expected


def test_a_number_of_no_meaning_compares_as_0() -> None:
    assert exists([{"a": 1}], parse_path("#(a>x)"))
    assert not exists([{"a": -1}], parse_path("#(a>x)"))


MISTAKES = {
    "a.#(b==1": ('"(" is not closed', 3),
    "[@this.#(b==1)": ('"[" is not closed', 0),
    'a.#(b=="x)': ("a quote is not closed", 7),
    "a..b": ("a name is missing", 2),
    ".a": ("a name is missing", 0),
    "a.": ("a name is missing", 2),
    "a.#.": ("a name is missing", 4),
    "a.#(b==1)c": ('"c" where "." or "|" goes', 9),
    "a.#()": ("a comparison is missing", 4),
    "a.#(b==1 && )": ("a comparison is missing", 11),
    "a.#(b==1])": ('"]" closes nothing', 8),
    "!nothing": ("what follows ! is no JSON value", 1),
    "[" * 40 + "a" + "]" * 40: ("more than 32 levels of brackets", 33),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_position(text: str) -> None:
    what, position = MISTAKES[text]
    with pytest.raises(PathError) as caught:
        parse_path(text)
    assert str(caught.value) == f'"{text}": {what} at position {position}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.*\\", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=JSON, text=st.text('ab.#()[]{}=!<>%@|:"*?\\ 0&', max_size=14))
def test_any_text_is_followed_or_refused_and_nothing_else(value: Any, text: str) -> None:
    try:
        path = parse_path(text)
    except PathError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017 # most texts are refused, some not
        return
    found = find(value, path)
    assert found is MISSING or json.dumps(found)


@given(st.dictionaries(st.text(min_size=1), st.integers(), min_size=1))
def test_every_member_is_found_by_its_escaped_name(value: dict[str, int]) -> None:
    for name, item in value.items():
        escaped = "".join("\\" + character for character in name)
        assert find(value, parse_path(escaped)) == item


@given(text=st.text("ab", max_size=8), pattern=st.text("ab*?", max_size=8))
def test_patterns_fit_as_the_shells_do(text: str, pattern: str) -> None:
    import fnmatch

    assert fits(text, pattern) == fnmatch.fnmatchcase(text, pattern)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    began = time.monotonic()
    assert not fits("a" * 5000, "*a" * 40 + "b")
    assert time.monotonic() - began < 5
