"""Which operators of a graph touch more than tensors. Read off the graph; nothing is run.

A SavedModel is a program: among TensorFlow's operators are some that read and write files, call
other machines, or run Python. What signatures and the graph's start can reach is looked at, through
functions too; saving and restoring, which every SavedModel holds, is reached by neither.
(TensorFlow, SECURITY.md: "models are programs".)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from sampan.server.load_failure import LoadFailure

_FORBIDDEN = re.compile(
    r"""Read(er)?File\w*|\w*WriteFile|MatchingFiles|FileSystem\w*|Gcs\w*       # files by name
      | (Save|Restore)(Slices?|V2)?|MergeV2Checkpoints|LoadAndRemapMatrix|GenerateVocabRemapping
      | \w*Reader(V2)?|BigQuery\w*                                             # queues of files
      | (TextLine|TFRecord|FixedLengthRecord|Sql|CSV|LMDB|Cache|Snapshot|Save|Load|Kafka)
        Dataset\w*
      | (Experimental)?(CSV|Sql|LMDB|Snapshot)\w*Dataset\w* | \w*DatasetToTFRecord
      | SaveDataset\w* | SnapshotNested\w* | ListSnapshot\w* | \w*DataService\w*
      | RecordInput | DatasetFromGraph | \w*TRTResource\w*
      | \w*Summary(Writer|DbWriter|FileWriter)\w* | Write\w*Summary | ImportEvent
      | Debug(Identity|NanCount|NumericSummary)\w*                             # to a URL
      | (Eager)?PyFunc(Stateless)? | (Try)?Rpc\w* | Abort                     # beyond the graph""",
    re.VERBOSE,
)
_TARGETS = {
    "PrintV2": ("output_stream", re.compile(rb"stdout|stderr|log\(\w+\)")),
    "DecodeProtoV2": ("descriptor_source", re.compile(rb"((local|bytes)://.*)?", re.DOTALL)),
    "EncodeProto": ("descriptor_source", re.compile(rb"((local|bytes)://.*)?", re.DOTALL)),
}
"""Operators that touch files for some values of an attribute, and the values that are harmless."""
_VOCABULARY = re.compile(r"InitializeTableFromTextFile(V2)?")
_PLAIN_USES = frozenset({"AssignVariableOp", "ReadVariableOp", "VarIsInitializedOp"})
_FILENAME = 1  # the input of that operator which names the file
_DEEPEST = 64  # calls of functions within functions
_SHOWN = 3

INIT_SIGNATURE = "__saved_model_init_op"
"""What TensorFlow 2 keeps among the signatures and is none: what loading runs."""

Arguments: TypeAlias = "tuple[bool, ...]"
"""Of each argument of a function: whether it is an asset's path, and nothing else."""


@dataclass(slots=True)
class _Walk:
    """What is known while a graph is walked."""

    functions: dict[str, Any]
    assets: frozenset[str]
    found: set[str] = field(default_factory=set)
    seen: set[tuple[str, Arguments]] = field(default_factory=set)


def validate_graph(graph: Any, name: str) -> None:
    """Raise LoadFailure unless a MetaGraphDef only computes, and its assets stay with it."""
    outside = [a.filename for a in graph.asset_file_def if not _is_inside(a.filename)]
    if outside:
        raise LoadFailure(
            "ModelUntrusted",
            f'"{name}" names the asset "{outside[0]}", which lies outside of its folder; export it '
            "again",
        )
    found = sorted(find_forbidden(graph))
    if found:
        shown = ", ".join(f'"{one}"' for one in found[:_SHOWN])
        raise LoadFailure(
            "ModelUntrusted",
            f'"{name}" uses {shown}, which touches files, other machines or Python; export the '
            "model without it, or, if you trust where it comes from, set the annotation "
            'serving.sampan.dev/trust: "true" (or start the server with --trust)',
        )


def find_forbidden(graph: Any) -> set[str]:
    """Return the operators of a MetaGraphDef that may not be run, as far as they are reached."""
    functions = {function.signature.name: function for function in graph.graph_def.library.function}
    nodes = {node.name: node for node in graph.graph_def.node}
    assets = _select_assets(graph, nodes)
    # Only the start is given the assets' paths; later their constants hold what the file says.
    loading, serving = _Walk(functions, assets), _Walk(functions, frozenset())
    _visit(loading, nodes, list(_initial(graph)), (), None)
    _visit(serving, nodes, list(_served(graph)), (), None)
    return loading.found | serving.found


def _select_assets(graph: Any, nodes: dict[str, Any]) -> frozenset[str]:
    """Return the nodes that hold nothing but an asset's path: those that the loader feeds, and
    what reads a variable to which only such a node is assigned (TensorFlow 2's way)."""
    fed = {_node(asset.tensor_info.name)[0] for asset in graph.asset_file_def}
    bodies = [graph.graph_def.node, *(f.node_def for f in graph.graph_def.library.function)]
    handles = [node for body in bodies for node in body if node.op == "VarHandleOp"]
    names = [(node.attr["container"].s, node.attr["shared_name"].s) for node in handles]
    consumers: dict[str, list[Any]] = {}
    for node in graph.graph_def.node:
        for text in node.input:
            consumers.setdefault(_node(text)[0], []).append(node)
    readers = set()
    for handle, name in zip(handles, names, strict=True):
        uses = consumers.get(handle.name, [])
        if nodes.get(handle.name) is not handle or names.count(name) > 1:
            continue  # of a function, or known elsewhere by the same name
        if all(use.op in _PLAIN_USES for use in uses) and all(
            _node(use.input[1])[0] in fed for use in uses if use.op == "AssignVariableOp"
        ):
            readers |= {use.name for use in uses if use.op == "ReadVariableOp"}
    return frozenset(fed | readers)


def _served(graph: Any) -> Iterator[str]:
    """Yield the nodes that requests ask."""
    for name, signature in graph.signature_def.items():
        if name == INIT_SIGNATURE:
            continue
        for info in (*signature.outputs.values(), *signature.inputs.values()):
            yield info.name
            yield from (one.name for one in info.composite_tensor.components)
            yield info.coo_sparse.values_tensor_name
            yield info.coo_sparse.indices_tensor_name
            yield info.coo_sparse.dense_shape_tensor_name


def _initial(graph: Any) -> Iterator[str]:
    """Yield the nodes that loading runs."""
    if INIT_SIGNATURE in graph.signature_def:
        yield from (info.name for info in graph.signature_def[INIT_SIGNATURE].outputs.values())
    for key in ("saved_model_main_op", "legacy_init_op", "main_op", "saved_model_initializers"):
        if key in graph.collection_def:
            yield from graph.collection_def[key].node_list.value


def _visit(
    walk: _Walk,
    nodes: dict[str, Any],
    roots: list[str],
    arguments: Arguments,
    parameters: dict[str, int] | None,
) -> None:
    """Look at every node that the roots need. `parameters`: places of a function's arguments."""
    waiting, met = [_node(root)[0] for root in roots], set[str]()
    while waiting:
        name = waiting.pop()
        node = nodes.get(name)
        if node is None or name in met:
            continue
        met.add(name)
        waiting += [_node(one)[0] for one in node.input]
        paths = tuple(_is_asset(walk, one, arguments, parameters) for one in node.input)
        if _VOCABULARY.fullmatch(node.op):
            if len(paths) <= _FILENAME or not paths[_FILENAME]:
                walk.found.add(node.op)
        elif _FORBIDDEN.fullmatch(node.op) or not _is_harmless(node):
            walk.found.add(node.op)
        for called in (node.op, *_called(node)):
            if called in walk.functions:
                _enter(walk, called, paths)


def _enter(walk: _Walk, name: str, paths: Arguments) -> None:
    if (name, paths) in walk.seen or len(walk.seen) > _DEEPEST * max(len(walk.functions), 1):
        return
    walk.seen.add((name, paths))
    function = walk.functions[name]
    nodes = {node.name: node for node in function.node_def}
    places = {argument.name: at for at, argument in enumerate(function.signature.input_arg)}
    roots = [*nodes]  # a function keeps what has an effect, asked for or not
    _visit(walk, nodes, roots, paths, places)


def _is_harmless(node: Any) -> bool:
    """Whether an operator that may touch a file by an attribute does not."""
    if node.op not in _TARGETS:
        return True
    attribute, harmless = _TARGETS[node.op]
    return harmless.fullmatch(node.attr[attribute].s) is not None


def _called(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.func.name:
            yield value.func.name
        yield from (one.name for one in value.list.func)


def _is_asset(
    walk: _Walk, text: str, arguments: Arguments, parameters: dict[str, int] | None
) -> bool:
    """Whether an input is the path of an asset: the loader's own constant, or an argument of it."""
    name, _ = _node(text)
    if parameters is not None:
        place = parameters.get(name)
        return place is not None and place < len(arguments) and arguments[place]
    return name in walk.assets


def _node(text: str) -> tuple[str, str]:
    """Return the node of an input's text: `node`, `node:0`, `node:output:0`, `^node`."""
    name, _, output = text.removeprefix("^").partition(":")
    return name, output


def _is_inside(filename: str) -> bool:
    path = PurePosixPath(filename)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts)
