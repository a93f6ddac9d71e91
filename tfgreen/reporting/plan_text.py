"""A plan of a compression as text."""

from __future__ import annotations

from typing import Any

from tfgreen.footprint.wording import seconds_text
from tfgreen.verification.labels import counted


def plan_text(plan: Any) -> str:
    """One line a step: what it does, whether it is done, its time and its file's size.

    plan: a `tfgreen.pipeline.planning.Plan`.
    """
    count = "a pipeline" if plan.train_samples is None else f"{plan.train_samples:,} samples"
    size = "" if plan.parameters is None else f", {plan.parameters:,} parameters"
    lines = [f"Recipe {plan.recipe_name} on {count}{size}"]
    lines += [f"  {_step(step)}" for step in plan.steps]
    bases = " and ".join(dict.fromkeys(step.basis for step in plan.steps if not step.is_done))
    rest = f", by {bases}" if bases else ""
    lines.append(f"To do: about {seconds_text(plan.seconds)}{rest}")
    lines.append(f"Results are kept in {plan.cache}")
    return "\n".join([*lines, *plan.notes])


def _step(step: Any) -> str:
    told = ["done before" if step.is_done else f"about {seconds_text(step.seconds)}"]
    if step.is_damaged:
        told[0] = f"to do again, since its kept result is damaged, {told[0]}"
    if step.epochs:
        epochs = counted(step.epochs, "epoch")
        done = f"{step.epochs_done} of {epochs} done before" if step.epochs_done else epochs
        told.append(done)
    if step.file_bytes is not None:
        told.append(f"a file of {step.file_bytes:,} bytes")
    if step.expected_file_bytes is not None:
        low, high = step.expected_file_bytes
        told.append(f"a file of about {low:,} to {high:,} bytes")
    words = f" ({'; '.join(step.techniques)})" if step.techniques else ""
    return f"{step.name}{words}: {', '.join(told)}"
