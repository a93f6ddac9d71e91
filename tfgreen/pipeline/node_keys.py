"""The hash of all that a node of a run depends on: under it the result is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfgreen.data import Samples
from tfgreen.manifest import sha256
from tfgreen.pipeline.store import key_of
from tfgreen.recipe import Recipe
from tfgreen.stack import stack_versions

if TYPE_CHECKING:
    from tfgreen.pipeline.run import Run

_VERSIONS = ("tfgreen", "tensorflow", "tf_keras", "keras", "tensorflow-model-optimization", "numpy")
_EXPORT_VERSIONS = (*_VERSIONS, "ai-edge-litert", "ai-edge-quantizer", "tflite-micro")


def stage_key(run: Run, number: int, model_sha256: str | None) -> str:
    """Of a stage; `model_sha256` None: it begins with the model as it came."""
    stage = run.recipe.stages[number].to_plain()
    stage.pop("name")
    teachers = Recipe([run.recipe.stages[number]]).teachers
    return key_of(
        {
            "node": "stage",
            "number": number,
            "stage": stage,
            "model": model_sha256 or run.model.sha256,
            "code": run.model.code_sha256,
            "loss": repr(run.model.loss) if number == 0 else None,
            "data": run.data_sha256,
            "validation": _sha256(run.evaluation),
            "calibration": _sha256(run.calibration),
            "teachers": {name: run.teacher(name).sha256 for name in teachers},
            "seed": run.seed,
            "strategy": None if run.strategy is None else [run.strategy, run.devices.replicas],
            "versions": _of_stack(_VERSIONS),
        }
    )


def export_key(run: Run, content: bytes) -> str:
    """Of the export of a model file."""
    return key_of(
        {
            "node": "export",
            "model": sha256(content),
            "name": run.model.name,
            "code": run.model.code_sha256,
            "profile": run.profile.model_dump(mode="json"),
            "calibration": _sha256(run.calibration),
            "evaluation": _sha256(run.evaluation),
            "labels": list(_label_names(run.evaluation, run.calibration)),
            "options": repr(run.options),
            "versions": _of_stack(_EXPORT_VERSIONS),
        }
    )


def pace_key(run: Run) -> str:
    """Of how long a model takes."""
    return key_of({"node": "pace", "model": run.model.sha256})


def _sha256(samples: Samples | None) -> str | None:
    return None if samples is None else samples.sha256()


def _label_names(*given: Samples | None) -> tuple[str, ...]:
    return next((one.label_names for one in given if one is not None and one.label_names), ())


def _of_stack(names: tuple[str, ...]) -> dict[str, str]:
    installed = stack_versions()
    return {name: installed[name] for name in names if name in installed}
