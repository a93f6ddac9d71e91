"""Attacks on a model as the caller sees them: samples go in, changed samples come out.

The gradient is the float model's, in a child process that loads TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfgreen.tflite import attack_worker, worker
from tfgreen.tflite.conversion import ConversionOptions, exchange_folder, run_worker

AttackName = Literal["fgsm", "pgd"]
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AttackedInput:
    """How far one input is attacked: most change of a value at each strength, and its range."""

    epsilons: tuple[float, ...]
    low: float
    high: float


@dataclass(frozen=True)
class AttackOrder:
    """What is attacked, and how.

    output, position: The output whose classes are attacked, by name and place.
    reach: By input; inputs without stay as they are.
    steps, step_share: PGD's steps, and the length of each as a share of epsilon.
    """

    attacks: tuple[AttackName, ...]
    output: str
    position: int
    reach: Mapping[str, AttackedInput]
    steps: int
    step_share: float


@dataclass(frozen=True)
class Attacked:
    """What came out: by attack a dict of changed inputs for every strength, and the loss."""

    inputs: Mapping[str, Sequence[Mapping[str, np.ndarray]]]
    loss: str


def attack(
    model: Path | str,
    inputs: Mapping[str, np.ndarray],
    labels: np.ndarray,
    order: AttackOrder,
    options: ConversionOptions | None = None,
    on_progress: OnProgress | None = None,
) -> Attacked:
    """Change samples so that a model's loss grows most.

    Args:
        model: A Keras file, a SavedModel or "module:function".
        inputs: (n, *shape) by input name, all of the model's inputs, float where attacked.
        labels: (n,) classes to lead away from.

    Raises UnsupportedModelError for a .tflite, and whatever the loading of the model raises.
    """
    options = options or ConversionOptions()
    request: dict[str, Any] = {
        "job": "attack",
        "model": str(model),
        "model_name": Path(str(model)).name,
        "inputs": list(inputs),
        "attacks": list(order.attacks),
        "output": order.output,
        "position": order.position,
        "reach": {name: vars(one) for name, one in order.reach.items()},
        "steps": order.steps,
        "step_share": order.step_share,
        "custom_objects": options.custom_objects,
        "allow_unsafe": options.allow_unsafe,
        "memory_limit_bytes": options.memory_limit_bytes,
    }
    with exchange_folder() as folder:
        (folder / worker.REQUEST).write_text(json.dumps(request), encoding="utf-8")
        np.savez(folder / attack_worker.SAMPLES, *inputs.values(), labels=labels)
        facts = run_worker(
            attack_worker.__name__, folder, request, options.timeout_seconds, on_progress
        )
        strengths = len(next(iter(order.reach.values())).epsilons)
        with np.load(folder / attack_worker.ATTACKED, allow_pickle=False) as archive:
            found: dict[str, list[dict[str, np.ndarray]]] = {
                name: [
                    {
                        one: archive[f"{name}-{strength}-{index}"]
                        for index, one in enumerate(order.reach)
                    }
                    for strength in range(strengths)
                ]
                for name in order.attacks
            }
    return Attacked(found, facts["loss"])
