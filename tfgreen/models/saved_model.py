"""What a SavedModel folder would do when its graph runs, read without TensorFlow.

A graph can write and read files and call back into Python. TensorFlow's `saved_model_cli scan`
looks for three such ops; this looks for all that touch the machine, in the main graph and in every
function, and tells the ops of the saver, which every SavedModel has, from the same ops elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfgreen.errors import InvalidModelError
from tfgreen.models.known_classes import words
from tfgreen.models.protobuf import Message
from tfgreen.models.safety import ForeignCode
from tfgreen.signature import InputSpec

GRAPH, KERAS_METADATA = "saved_model.pb", "keras_metadata.pb"
DEFAULT_SIGNATURE = "serving_default"

_TOUCHES_MACHINE = words(
    """
    CalibrationStatisticsSaver DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount
    DebugNumericSummary DistributedSave DumpTensor EagerPyFunc FileSystemSetConfiguration
    ImportEvent MatchingFiles PyFunc PyFuncStateless ReadFile RecordInput RemoteCall RpcCall
    RpcClient RpcServer RpcServerStart ShellOp Skipgram WriteFile
    """
)
_TOUCHES_MACHINE_PATTERN = re.compile(
    r"Dataset|Summary(File|Db)?Writer|ReaderV?2?$|^Write.*Summary"
)
_WRITES_CHECKPOINT = frozenset({"Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"})
_PRINTS = "PrintV2"
# Where graphs of TensorFlow 1 name the ops that loading runs.
_RUN_ON_LOADING = ("saved_model_main_op", "legacy_init_op")

TENSORFLOW_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
"""NumPy's names of the numbers in `tensorflow/core/framework/types.proto`; string and bfloat16,
which NumPy does not have, by TensorFlow's."""


@dataclass(frozen=True)
class SavedModelFacts:
    """`inputs` and `outputs` are those of the signature that is run; empty without one.

    `configs` are the Keras configs beside the graph: nothing is rebuilt from them.
    """

    signatures: tuple[str, ...]
    inputs: tuple[InputSpec, ...] | None
    outputs: tuple[str, ...] | None
    foreign: tuple[ForeignCode, ...]
    configs: tuple[Any, ...]


def read_saved_model(folder: Path) -> SavedModelFacts:
    """Read the graphs of a SavedModel folder. Raises InvalidModelError for a damaged one."""
    try:
        saved = Message(memoryview((folder / GRAPH).read_bytes()))
        graphs = [_Graph(meta_graph) for meta_graph in saved.messages(2)]
        configs = [*_metadata(folder)]
        for graph in graphs:
            configs.extend(graph.keras_configs())
    except InvalidModelError as error:
        raise InvalidModelError(
            f"'{folder}' is no readable SavedModel: in {GRAPH}, {error}. It is damaged or cut "
            "off; save or copy it again."
        ) from error
    if not graphs:
        raise InvalidModelError(f"'{folder}' is no readable SavedModel: {GRAPH} holds no graph.")
    foreign = dict.fromkeys(code for graph in graphs for code in graph.foreign())
    signatures = graphs[0].signatures
    chosen = choose_signature(tuple(signatures))
    inputs, outputs = _signature(signatures[chosen]) if chosen else (None, None)
    return SavedModelFacts(tuple(signatures), inputs, outputs, tuple(foreign), tuple(configs))


def choose_signature(names: Collection[str]) -> str | None:
    """The signature to run: the default one, else the only one, else None.

    >>> choose_signature(["train", "serving_default"]), choose_signature(["a", "b"])
    ('serving_default', None)
    """
    if DEFAULT_SIGNATURE in names:
        return DEFAULT_SIGNATURE
    return next(iter(names)) if len(names) == 1 else None


@dataclass
class _Body:
    """The main graph or a function: its ops, what each calls, and where each gets its inputs."""

    ops: dict[str, str] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    foreign: list[ForeignCode] = field(default_factory=list)

    def add(self, node: Message) -> None:
        name, op, attributes = node.text(1), node.text(2), node.entries(5)
        self.ops[name] = op
        # An op may be called by its own name too: a function's name in place of an op's.
        self.calls[name] = {op}.union(*map(_called, attributes.values()))
        self.sources[name] = [_node_name(source) for source in node.texts(3)]
        stream = attributes["output_stream"].text(2) if "output_stream" in attributes else ""
        if op in _TOUCHES_MACHINE or _TOUCHES_MACHINE_PATTERN.search(op):
            self.foreign.append(ForeignCode("op", op))
        elif op == _PRINTS and stream.startswith("file://"):
            self.foreign.append(ForeignCode("op", f"{op} to {stream}"))

    def called(self) -> set[str]:
        return set().union(*self.calls.values())

    @property
    def writes_checkpoint(self) -> bool:
        return not _WRITES_CHECKPOINT.isdisjoint(self.ops.values())


class _Graph:
    """MetaGraphDef: main graph (2), saver (3), collections (4), signatures (5), objects (7)."""

    def __init__(self, meta_graph: Message) -> None:
        graph, saver, self._objects = (meta_graph.message(n) for n in (2, 3, 7))
        self.signatures = {
            name: signature
            for name, signature in meta_graph.entries(5).items()
            if not name.startswith("__saved_model")
        }
        self._run = {
            _node_name(tensor.text(1))
            for signature in meta_graph.entries(5).values()
            for tensor in signature.entries(2).values()
        }
        self._run.add(_node_name(saver.text(3)))
        collections = meta_graph.entries(4)
        for key in _RUN_ON_LOADING:
            if key in collections:  # its nodes (1) by name (1)
                self._run.update(map(_node_name, collections[key].message(1).texts(1)))
        self._save_node = _node_name(saver.text(2))
        self._main = _Body()
        for node in graph.messages(1):
            self._main.add(node)
        self._functions: dict[str, _Body] = {}
        for function in graph.message(2).messages(1):
            body = self._functions[function.message(1).text(1)] = _Body()
            for node in function.messages(3):
                body.add(node)

    def foreign(self) -> Iterator[ForeignCode]:
        for body in (self._main, *self._functions.values()):
            yield from body.foreign
        if self._writes_checkpoint_when_run():
            yield ForeignCode("op", "SaveV2 outside the saver")

    def keras_configs(self) -> Iterator[Any]:
        """What old SavedModels keep beside each object: SavedObject (1), user_object (4)."""
        for saved_object in self._objects.messages(1):
            metadata = saved_object.message(4).text(3)
            if metadata:
                yield _json(metadata)

    def _writes_checkpoint_when_run(self) -> bool:
        """Whether an op of the saver is reached by anything but the saver's save node."""
        writers = {name for name, body in self._functions.items() if body.writes_checkpoint}
        savers = self._closure(self._main.calls.get(self._save_node, set()))
        public = set(self._objects.entries(2))
        others = [b for name, b in self._functions.items() if name not in savers or name in public]
        reached = self._closure(set().union(*(body.called() for body in others)))
        if writers & (reached | public | (self._functions.keys() - savers)):
            return True
        return bool(self._run & self._tainted(writers))

    def _closure(self, names: set[str]) -> set[str]:
        """The functions of these names and all that they call, in turn."""
        reached: set[str] = set()
        pending = set(names)
        while pending:
            name = pending.pop()
            if name in reached or name not in self._functions:
                continue
            reached.add(name)
            pending |= self._functions[name].called()
        return reached

    def _tainted(self, writers: set[str]) -> set[str]:
        """Nodes of the main graph that write a checkpoint or wait for one that does."""
        tainted = {
            name
            for name, op in self._main.ops.items()
            if op in _WRITES_CHECKPOINT or self._closure(self._main.calls[name]) & writers
        }
        grown = True
        while grown:
            more = {n for n, s in self._main.sources.items() if not tainted.isdisjoint(s)}
            grown = not more <= tainted
            tainted |= more
        return tainted


def _called(attribute: Message) -> Iterator[str]:
    """Function names in an AttrValue: func (10), or the funcs (9) of its list (1).

    A function may be given others as its own attributes (2).
    """
    pending = [attribute]
    while pending:
        value = pending.pop()
        for called in (*value.messages(10), *value.message(1).messages(9)):
            yield called.text(1)
            pending.extend(called.entries(2).values())


def _node_name(tensor: str) -> str:
    """`^name` and `name:0` both mean the node `name`."""
    return tensor.removeprefix("^").split(":")[0]


def _signature(
    signature: Message,
) -> tuple[tuple[InputSpec, ...] | None, tuple[str, ...]]:
    outputs = tuple(sorted(signature.entries(2)))
    specs = [_input_spec(name, tensor) for name, tensor in sorted(signature.entries(1).items())]
    return (None if None in specs else tuple(spec for spec in specs if spec)), outputs


def _input_spec(name: str, tensor: Message) -> InputSpec | None:
    """TensorInfo: dtype (2), shape (3) of dims (2) with sizes (1); -1 is written in 64 bits."""
    shape = tensor.message(3)
    sizes = [dimension.number(1) for dimension in shape.messages(2)]
    if shape.number(3) or not sizes:
        return None
    known = tuple(size if size < 1 << 63 else None for size in sizes[1:])
    return InputSpec(name, known, TENSORFLOW_DTYPES.get(tensor.number(2), "unknown"))


def _metadata(folder: Path) -> Iterator[Any]:
    """keras_metadata.pb: nodes (1), each with JSON (5); metrics hold no layer."""
    path = folder / KERAS_METADATA
    if not path.exists():
        return
    for node in Message(memoryview(path.read_bytes())).messages(1):
        if not node.text(4).endswith("_metric"):
            yield _json(node.text(5))


def _json(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModelError("the Keras metadata are no JSON") from error
    return value if isinstance(value, dict) else {}
