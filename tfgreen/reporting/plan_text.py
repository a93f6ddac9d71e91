"""A plan of a compression as text."""

from __future__ import annotations

from typing import Any

from tfgreen.footprint.wording import seconds_text


def plan_text(plan: Any) -> str:
    """One line a step: what it does, whether it is done, its time and its file's size.

    plan: a `tfgreen.pipeline.planning.Plan`.
    """
    count = "a pipeline" if plan.train_samples is None else f"{plan.train_samples:,} samples"
    size = "" if plan.parameters is None else f", {plan.parameters:,} parameters"
    lines = [f"Recipe {plan.recipe_name} on {count}{size}"]
    for step in plan.steps:
        state = "done before" if step.is_done else f"about {seconds_text(step.seconds)}"
        told = [state]
        if step.epochs:
            told.append(f"{step.epochs} epochs")
        if step.file_bytes is not None:
            about = "" if step.is_done else "about "
            told.append(f"a file of {about}{step.file_bytes:,} bytes")
        words = f" ({'; '.join(step.techniques)})" if step.techniques else ""
        lines.append(f"  {step.name}{words}: {', '.join(told)}")
    bases = " and ".join(dict.fromkeys(step.basis for step in plan.steps if not step.is_done))
    rest = f", by {bases}" if bases else ""
    lines.append(f"To do: about {seconds_text(plan.seconds)}{rest}")
    lines.append(f"Results are kept in {plan.cache}")
    return "\n".join(lines)
