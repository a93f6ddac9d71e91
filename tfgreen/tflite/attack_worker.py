"""The child process of attacks: `python -m tfgreen.tflite.attack_worker DIR`, as `worker`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.tflite import worker

SAMPLES, ATTACKED = "attacked-samples.npz", "attacked.npz"


def work(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Attack the samples at every strength; the facts name the loss."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    clock = worker.Clock(folder)
    clock.note("loading TensorFlow and the model")
    from tfgreen.models.attacks import Reach, fgsm, open_attackable, pgd
    from tfgreen.models.identification import identify

    with np.load(folder / SAMPLES, allow_pickle=False) as archive:
        inputs = {name: archive[f"arr_{i}"] for i, name in enumerate(request["inputs"])}
        labels = archive["labels"].astype(np.int64)
    model = open_attackable(
        identify(request["model"]),
        request["output"],
        request["position"],
        custom_objects=request["custom_objects"],
        allow_unsafe=request["allow_unsafe"],
    )
    given = _by_model_names(inputs, model.inputs)
    found: dict[str, np.ndarray] = {}
    strengths = len(next(iter(request["reach"].values()))["epsilons"])
    for attack in request["attacks"]:
        for strength in range(strengths):
            clock.note(f"attacking by {attack}", strength, strengths)
            reach = {
                given[name][0]: Reach(one["epsilons"][strength], one["low"], one["high"])
                for name, one in request["reach"].items()
            }
            arrays = dict(given.values())
            if attack == "fgsm":
                moved = fgsm(model, arrays, labels, reach)
            else:
                steps, share = request["steps"], request["step_share"]
                moved = pgd(model, arrays, labels, reach, steps=steps, step_share=share)
            for index, name in enumerate(request["reach"]):
                found[f"{attack}-{strength}-{index}"] = moved[given[name][0]]
    np.savez(folder / ATTACKED, **found)  # type: ignore[arg-type]
    return {"loss": model.loss}


def _by_model_names(
    inputs: dict[str, np.ndarray], names: tuple[str, ...]
) -> dict[str, tuple[str, np.ndarray]]:
    """The model's own name of each input, with its samples; a sole input may be called anything."""
    if len(inputs) == len(names) == 1:
        ((name, array),) = inputs.items()
        return {name: (names[0], array)}
    return {name: (name, array) for name, array in inputs.items()}


if __name__ == "__main__":
    sys.exit(worker.main(work=work))
