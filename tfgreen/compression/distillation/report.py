"""What a distiller did, in words and figures."""

from __future__ import annotations

from collections.abc import Iterator

from tfgreen.compression.distillation.bench import Bench
from tfgreen.compression.technique import LayerDecision, TechniqueReport
from tfgreen.wording import share_text


def report_of(bench: Bench) -> TechniqueReport:
    """Hint layers as decisions; teachers, settings and the cache as notes."""
    decisions = tuple(_decisions(bench))
    notes = [*_teachers(bench), *_settings(bench), *_cache(bench)]
    return TechniqueReport("distillation", decisions, tuple(notes))


def _decisions(bench: Bench) -> Iterator[LayerDecision]:
    kinds = {layer.name: type(layer).__name__ for layer in bench.forward.model.layers}
    shapes = zip(bench.forward.feature_shapes, bench.teachers[0].feature_shapes, strict=True)
    pairs = zip(bench.features.items(), bench.projections, shapes, strict=True)
    for (ours, theirs), projection, (width, teacher_width) in pairs:
        how = "" if projection is None else "; a learned projection, left behind, lies between"
        kind = kinds.get(ours, "wrapped")
        measures = {"width": float(width[-1]), "teacher_width": float(teacher_width[-1])}
        reason = f"learns from the teacher's '{theirs}'{how}"
        yield LayerDecision(ours, kind, "distilled", reason, measures)


def _teachers(bench: Bench) -> Iterator[str]:
    for teacher, share in zip(bench.teachers, bench.shares, strict=True):
        size = sum(int(_size(variable)) for variable in teacher.variables())
        kind = type(teacher).__name__.removesuffix("Teacher")
        whose = "the student's moving average" if kind == "Average" else f"{size:,} weights"
        yield f"Taught by {teacher.name} ({whose}), {share_text(share, 0)} of what teachers weigh."


def _size(variable: object) -> int:
    count = 1
    for length in variable.shape:  # type: ignore[attr-defined]
        count *= int(length)
    return count


def _settings(bench: Bench) -> Iterator[str]:
    squared = "scaled by T²" if bench.squared else "not scaled by T²"
    yield f"alpha {bench.alpha}, temperature {bench.temperature}, {squared}."
    for plan in bench.plans:
        forms = " and ".join(sorted(set(plan.teacher_forms)))
        gives = "" if plan.kind == "regression" else f": {plan.form} from {forms} of the teacher"
        yield f"Output {plan.name or 'of the student'} is {plan.kind}{gives}."


def _cache(bench: Bench) -> Iterator[str]:
    if bench.cache is None:
        yield "No cache: teachers answered every batch of every epoch."
    elif bench.seconds:
        yield (
            f"The cache asked teachers for {bench.seconds['asked']:.3g} s and saved "
            f"{bench.seconds['saved']:.3g} s of asking them again."
        )
    else:
        yield "The cache was not used yet: not trained."
