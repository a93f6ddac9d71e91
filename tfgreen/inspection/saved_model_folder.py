"""Inspection of a SavedModel folder: its variables and its signature; the graph is not run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tfgreen.errors import InvalidModelError
from tfgreen.inspection.checkpoint import Variable, read_checkpoint
from tfgreen.inspection.records import LayerFacts, ModelInspection
from tfgreen.inspection.sparsity import ZeroCount
from tfgreen.preprocess import BoundaryTensor
from tfgreen.signature import InputSpec

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_NOT_THE_MODEL = ("optimizer/", "keras_api/", "save_counter", "root_optimizer")
_KERAS_3, _KERAS_3_AGAIN = "variables/", "_all_variables/"
_NOTE = "A SavedModel tells variables, not layers; the ops are in its graph, which is not read."


def inspect_saved_model(
    folder: Path, flavour: str, inputs: Sequence[InputSpec] = ()
) -> ModelInspection:
    """Variables of a SavedModel, grouped by the object that owns them.

    Raises:
        InvalidModelError: the checkpoint in it is damaged.
    """
    try:
        variables = read_checkpoint(folder / "variables" / "variables")
        owners: dict[str, list[Variable]] = {}
        for name, variable in _of_the_model(variables).items():
            owner, _, last = name.rpartition("/")
            owners.setdefault(name if last.isdecimal() or not owner else owner, []).append(variable)
        layers = tuple(_layer(owner, found) for owner, found in owners.items())
        zeros = _zeros(variable for found in owners.values() for variable in found)
    except (OSError, InvalidModelError, ValueError, IndexError) as error:
        raise InvalidModelError(
            f"{folder} is a damaged SavedModel ({error}). Save it again, or copy it again."
        ) from error
    return ModelInspection(
        path=str(folder),
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        sha256=None,
        parameters=sum(layer.parameters for layer in layers),
        sparsity=zeros.share,
        notes=(_NOTE,),
        flavour=flavour,
        inputs=tuple(_input(spec) for spec in inputs),
        layers=layers,
    )


def _of_the_model(variables: Iterable[Variable]) -> dict[str, Variable]:
    """Name → variable, without optimizers and metrics, each of Keras 3's twins once."""
    found = {
        variable.name.removesuffix(_SUFFIX): variable
        for variable in variables
        if variable.name.endswith(_SUFFIX)
        and not variable.name.startswith(_NOT_THE_MODEL)
        and ".OPTIMIZER_SLOT" not in variable.name
    }
    if any(name.startswith(_KERAS_3) for name in found):
        found = {n: v for n, v in found.items() if not n.startswith(_KERAS_3_AGAIN)}
    return found


def _layer(owner: str, variables: Sequence[Variable]) -> LayerFacts:
    return LayerFacts(
        name=owner,
        dtype=", ".join(sorted({variable.dtype for variable in variables})),
        weights=tuple(variable.shape for variable in variables),
        parameters=sum(variable.value_count for variable in variables),
        sparsity=_zeros(variables).share,
        size_bytes=sum(variable.size_bytes for variable in variables),
    )


def _zeros(variables: Iterable[Variable]) -> ZeroCount:
    count = ZeroCount()
    for variable in variables:
        count.add(variable.values())
    return count


def _input(spec: InputSpec) -> BoundaryTensor:
    sizes = tuple(-1 if size is None else size for size in spec.shape)
    return BoundaryTensor(name=spec.name, shape=(-1, *sizes), dtype=spec.dtype)
