"""Finds damage in the text of a LightGBM model before LightGBM reads it. Pure.

LightGBM's reader trusts the file: of a truncated one it reads past the end of its memory, and a
node that points to itself never ends. So the sizes that the head tells, and what each tree points
to, are checked here: a file that passes is one that LightGBM could have written.
"""

from __future__ import annotations

HEAD = b"tree\n"
_HEAD_BYTES = 256  # the form is named in the second line
_LINEAR_END = b"\nend of trees"


def find_damage(text: bytes) -> str:
    """Return what is wrong with a model's text, "" where nothing is."""
    if not text.startswith(HEAD):
        return f'it begins with "{text[:20].decode("ascii", "backslashreplace")}", not with "tree"'
    if _LINEAR_END not in text:
        return 'it ends before "end of trees"'
    head, _, body = text.partition(b"\n\n")
    fields = _fields(head)
    try:
        sizes = [int(size) for size in fields.get(b"tree_sizes", b"").split()]
        features = int(fields[b"max_feature_idx"]) + 1
        return _check_trees(body.lstrip(b"\n"), sizes, features)
    except KeyError as error:
        return f"it has no {error.args[0].decode('ascii', 'replace')}"
    except ValueError as error:
        return str(error)


def find_form(text: bytes) -> int:
    """Return the number of a text's form, 4 of `version=v4`; 0 where it tells none."""
    version = _fields(text[:_HEAD_BYTES].partition(b"\n\n")[0]).get(b"version", b"")
    number = version.removeprefix(b"v")
    return int(number) if number.isdigit() else 0


def _check_trees(body: bytes, sizes: list[int], features: int) -> str:
    start = 0
    for number, size in enumerate(sizes):
        tree = body[start : start + size] if size > 0 else b""
        if not tree.startswith(b"Tree=%d\n" % number) or len(tree) < size:
            return f"tree {number} is not where tree_sizes tells"
        problem = _check_tree(_fields(tree), features)
        if problem:
            return f"tree {number}: {problem}"
        start += size
    rest = body[start:].lstrip()
    return "" if rest.startswith(b"end of trees") else "it holds more trees than tree_sizes tells"


def _check_tree(fields: dict[bytes, bytes], features: int) -> str:
    leaves = int(fields[b"num_leaves"])
    if leaves < 1:
        return f"num_leaves is {leaves}"
    if len(fields[b"leaf_value"].split()) != leaves:
        return f"it has not {leaves} leaf values"
    if leaves == 1:
        return ""
    for name in (b"split_feature", b"threshold", b"decision_type"):
        if len(fields[name].split()) != leaves - 1:
            return f"it has not {leaves - 1} of {name.decode()}"
    if not all(0 <= int(index) < features for index in fields[b"split_feature"].split()):
        return f"it splits by a feature that is none of the {features}"
    return _check_children(fields, leaves)


def _check_children(fields: dict[bytes, bytes], leaves: int) -> str:
    """Each node's children come after it (a leaf is -1 - its number): no walk goes in a circle."""
    for name in (b"left_child", b"right_child"):
        children = [int(child) for child in fields[name].split()]
        if len(children) != leaves - 1:
            return f"it has not {leaves - 1} of {name.decode()}"
        for node, child in enumerate(children):
            if not (node < child < leaves - 1 or -leaves <= child < 0):
                return f"{name.decode()} of node {node} is {child}"
    return ""


def _fields(text: bytes) -> dict[bytes, bytes]:
    pairs = (line.partition(b"=") for line in text.splitlines())
    return {name: value for name, equals, value in pairs if equals}
