"""Names tell where a thing belongs."""

from __future__ import annotations

import ast

FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "constants"}


ALIAS = ".kserve.path.kserve."
"""Modules whose names are KServe's: users import them by these."""


def test_no_file_has_a_name_that_says_nothing(modules):
    found = [m.name for m in modules if m.path.stem in FORBIDDEN and ALIAS not in m.name]
    assert found == []


def test_each_package_says_what_belongs_in_it(modules):
    silent = [
        m.name for m in modules if m.path.name == "__init__.py" and not ast.get_docstring(m.tree)
    ]
    assert silent == []


def test_each_module_says_what_lives_in_it(modules):
    assert [m.name for m in modules if not ast.get_docstring(m.tree)] == []


def test_each_kind_has_the_same_four_files(modules):
    by_folder: dict[str, set[str]] = {}
    for m in modules:
        parts = m.path.parts
        if "api" in parts and parts[-2] != "api":
            by_folder.setdefault(parts[-2], set()).add(m.path.stem)
    kinds = {name: files for name, files in by_folder.items() if "types" in files}
    four = {"types", "defaults", "validation", "conditions"}
    assert kinds, "no kinds were found under api/"
    assert {name: four - files for name, files in kinds.items() if four - files} == {}


def test_each_runtime_file_stands_in_the_table(modules):
    from sampan.runtimes import RUNTIMES

    declared = {target.partition(":")[0] for target in RUNTIMES.values()}
    files = {
        m.name for m in modules if ".runtimes." in m.name and "RUNTIME" in assigned_names(m.tree)
    }
    assert files == declared


def test_each_storage_scheme_file_stands_in_the_table(modules):
    from sampan.storage import SCHEMES

    declared = {target.partition(":")[0] for target in SCHEMES.values()}
    known = {m.name for m in modules}
    assert declared <= known


def assigned_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names
