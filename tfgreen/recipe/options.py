"""What may stand in a recipe: the keys, and for each a piece of JSON schema that tells its values.

One table serves three: the reader, which refuses what is not in it, the schema that editors
complete by, and the writer, which knows the keys' order. A test holds it against the techniques.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfgreen.recipe.kinds import Schema
from tfgreen.training.optimizers import KINDS
from tfgreen.training.schedules import FUNCTIONS

MOST_EPOCHS = 100_000

_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_BELOW_ONE = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
_STEPS = {"type": "integer", "minimum": 1}
_FLAG = {"type": "boolean"}
_LAYER = {"type": "string", "minLength": 1}
_LAYERS = {
    "anyOf": [_LAYER, {"type": "array", "items": _LAYER}],
    "description": 'Layers by name, path, class ("Conv2D") or expression ("re:block_.*").',
}


def _by_layer(one: Schema, description: str) -> Schema:
    """One value for all layers, or values by layer."""
    table = {"type": "object", "additionalProperties": one, "minProperties": 1}
    return {"description": description, "anyOf": [one, table]}


def _one_of(*values: Any, description: str = "") -> Schema:
    return {"enum": list(values)} | ({"description": description} if description else {})


def _moving(description: str, **bounds: float) -> Schema:
    """A number, or (from, to) over the training."""
    one = {"type": "number", **bounds}
    pair = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
    return {"description": f"{description}; [from, to] moves it.", "anyOf": [one, pair]}


PRUNING: Mapping[str, Schema] = {
    "sparsity": _by_layer(_BELOW_ONE, "Share of each kernel's weights that become zero."),
    "threshold": _by_layer({"type": "number", "minimum": 0}, "Weights with |w| below it go."),
    "threshold_unit": _one_of("absolute", "quantile", "standard-deviation"),
    "pattern": {"type": "string", "description": '"2:4" keeps 2 of 4 neighbours.'},
    "schedule": _one_of("polynomial", "exponential", "one-cycle", "constant"),
    "begin": {**_SHARE, "description": "Share of the stage after which pruning begins."},
    "end": {**_SHARE, "description": "Share of the stage after which the masks stay."},
    "training_steps": _STEPS,
    "initial_sparsity": _BELOW_ONE,
    "frequency": {**_STEPS, "description": "Steps between two updates of the masks."},
    "scope": _one_of("layer", "global"),
    "skip": _LAYERS,
    "block_size": {"type": "array", "items": _STEPS, "minItems": 2, "maxItems": 2},
    "block_pooling": _one_of("average", "maximum"),
}

CLUSTERING: Mapping[str, Schema] = {
    "clusters": _by_layer({"type": "integer", "minimum": 2}, "Different values of a kernel."),
    "init": _one_of("linear", "kmeans++", "density", "random"),
    "preserve_sparsity": {**_FLAG, "description": "Zeros stay zero."},
    "layers": _LAYERS,
    "skip": _LAYERS,
}

QUANTIZATION_AWARE_TRAINING: Mapping[str, Schema] = {
    "activation_bits": _one_of(8, 16),
    "weight_bits": _by_layer({"type": "integer", "minimum": 4, "maximum": 8}, "Bits of weights."),
    "skip": _LAYERS,
    "only": _LAYERS,
    "preserve_sparsity": {**_FLAG, "description": "Zeros stay zero (PQAT)."},
    "preserve_clusters": {**_FLAG, "description": "Weights keep to their clusters (CQAT)."},
    "weight_steps": _one_of("channel", "layer"),
    "freeze_batch_norm_after": {
        **_SHARE,
        "description": "Share of the stage after which BatchNormalization stands still; 1: never.",
    },
    "calibrate": {**_FLAG, "description": "Set the ranges from data before the first step."},
}

_TEACHER = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {"moving_average": _BELOW_ONE},
            "required": ["moving_average"],
            "additionalProperties": False,
        },
    ]
}
_FORM = _one_of("logits", "probabilities")

DISTILLATION: Mapping[str, Schema] = {
    "teacher": {
        "description": "A name that --teacher NAME=MODEL resolves, a path, "
        "{ moving_average = 0.999 } of the student itself, or a list of those.",
        "anyOf": [*_TEACHER["anyOf"], {"type": "array", "items": _TEACHER, "minItems": 1}],
    },
    "alpha": _moving("Share of the labels' loss", minimum=0, maximum=1),
    "temperature": _moving("Above 0", exclusiveMinimum=0),
    "scale_by_temperature": _FLAG,
    "teacher_weights": {"type": "array", "items": {"type": "number"}},
    "features": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Hint layers: the student's = the teacher's.",
    },
    "feature_weight": {"type": "number", "exclusiveMinimum": 0},
    "sample_weights": _one_of("both", "labels"),
    "kind": _one_of("categorical", "binary", "regression"),
    "student_outputs": _FORM,
    "teacher_outputs": _FORM,
    "cache": {"type": "string", "description": "Folder that keeps the teachers' answers."},
}

TECHNIQUES: Mapping[str, Mapping[str, Schema]] = {
    "pruning": PRUNING,
    "clustering": CLUSTERING,
    "quantization_aware_training": QUANTIZATION_AWARE_TRAINING,
    "distillation": DISTILLATION,
}

STAGE: Mapping[str, Schema] = {
    "name": {
        "type": "string",
        "pattern": r"^[\w .()/+-]+$",
        "maxLength": 40,
        "description": "What progress, ledger and report call it; by default its techniques.",
    },
    "epochs": {
        **_STEPS,
        "maximum": MOST_EPOCHS,
        "description": "Passes through the training data.",
    },
    "batch_size": _STEPS,
    "optimizer": _one_of(
        *KINDS, description="As of tfgreen.fit; each stage begins with a new one."
    ),
    "learning_rate": {"type": "number", "exclusiveMinimum": 0},
    "learning_rate_schedule": _one_of(
        *FUNCTIONS, description="As of tfgreen.fit, over the whole stage."
    ),
    "loss": {
        "type": "string",
        "minLength": 1,
        "description": "A name of Keras; by default the model's own, or what outputs and labels "
        "tell.",
    },
}

RECIPE: Mapping[str, Schema] = {
    "name": {"type": "string", "pattern": r"^[\w .()/+-]+$", "maxLength": 40},
    "summary": {"type": "string"},
}
