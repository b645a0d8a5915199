"""A damaged file of a store: what is wrong with it, and whether all its objects can be read.

The rows of `objects` stand twice in the file, in the table and, by their keys, in its index. Where
both can be read to the end and agree, nothing that was acknowledged is missing, whatever else is
damaged (the history of changes, free pages); then a read-only store can be made of the table.
"""

from __future__ import annotations

import sqlite3

import orjson

from sampan.machinery.store import Key
from sampan.machinery.store_engine import FIRST_VERSION, Contents

BY_TABLE = "SELECT resource, namespace, name, data FROM objects NOT INDEXED"
BY_INDEX = "SELECT resource, namespace, name FROM objects INDEXED BY sqlite_autoindex_objects_1"


def find_damage(connection: sqlite3.Connection) -> str:
    """Return what SQLite finds wrong with the file, empty where it is sound."""
    try:
        verdict = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    return "" if verdict == "ok" else verdict.splitlines()[-1]


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether every object of a damaged file can be read."""
    try:
        stored = {Key(*row[:3]) for row in connection.execute(BY_TABLE) if orjson.loads(row[3])}
        listed = {Key(*row) for row in connection.execute(BY_INDEX)}
    except (sqlite3.DatabaseError, orjson.JSONDecodeError, TypeError):
        return False
    return stored == listed


def read_objects(connection: sqlite3.Connection) -> Contents:
    """Return the objects of a whole file, without its history: watches start anew."""
    objects = {Key(*row[:3]): row[3] for row in connection.execute(BY_TABLE)}
    versions = (int(orjson.loads(data)["metadata"]["resourceVersion"]) for data in objects.values())
    return Contents(max(versions, default=FIRST_VERSION), objects, ())
