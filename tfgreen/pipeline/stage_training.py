"""One stage: its techniques prepared, trained epoch by epoch, and finalized.

After every epoch but the last all that training changes is noted, so that a run that is killed
goes on with the next epoch and comes out as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfgreen.compression.technique import TechniqueReport
from tfgreen.data import Samples
from tfgreen.errors import UsageError
from tfgreen.models.loading import output_names_of
from tfgreen.pipeline.determinism import seed_of, set_seeds
from tfgreen.pipeline.epochs import EpochWatch, History, Notebook
from tfgreen.pipeline.objective import losses_of, metrics_for, refuse_unfit_classes, sole
from tfgreen.pipeline.snapshots import restore, snapshot_of
from tfgreen.pipeline.strategies import Devices
from tfgreen.pipeline.training_data import TrainingData, batches_of, epochs_of, is_unlabelled
from tfgreen.recipe import Stage
from tfgreen.training.optimizers import optimizer_for, spare_vectors
from tfgreen.training.rate_callback import RateCallback
from tfgreen.training.schedules import constant, function_of


@dataclass(frozen=True)
class StageOrder:
    """All that decides how a stage comes out.

    model: the model that it begins with; it stays as it is.
    number: of the stage, from 0; with `seed` it gives the seeds of all epochs.
    teachers: name → a model or the path of one.
    calibration: what the ranges of quantization-aware training begin with.
    compiled_loss: what the model was compiled with, where the caller gave one.
    """

    model: Any
    stage: Stage
    number: int
    data: TrainingData
    seed: int
    teachers: dict[str, Any]
    calibration: Samples | None
    devices: Devices
    compiled_loss: Any = None


@dataclass(frozen=True)
class Trained:
    """What a stage gave: the model, the curves, what techniques told, the optimizer in words."""

    model: Any
    history: History
    reports: tuple[TechniqueReport, ...]
    optimizer: str


def train_stage(order: StageOrder, notebook: Notebook) -> Trained:
    """Run one stage from its beginning, or from where the notebook tells.

    Raises:
        TfgreenError: whatever the techniques refuse.
    """
    stage = order.stage
    train, steps, first = _epochs(order, notebook)
    if steps is None and stage.learning_rate_schedule != "constant":
        raise UsageError(
            f"Stage '{stage.name}' moves its learning rate over all steps, and nobody knows "
            "how many batches the training pipeline has: give it a length "
            "(tf.data.experimental.assert_cardinality), or a constant learning rate."
        )
    with order.devices.scope():
        wrapped, techniques = _compiled(order, steps)
    history: History = {}
    if notebook.unfinished is not None:
        restore(wrapped, notebook.unfinished)
        history = {name: list(values) for name, values in notebook.unfinished.history.items()}
    watch = EpochWatch(order, notebook, wrapped, history)
    wrapped.fit(
        order.devices.distributed(train),
        epochs=stage.epochs,
        initial_epoch=first,
        steps_per_epoch=steps,
        validation_data=_validation(order),
        callbacks=[*_own_callbacks(techniques), *_rates(stage), watch],
        verbose=0,
        shuffle=False,
    )
    if order.devices.strategy is not None:
        wrapped = _brought_home(order, wrapped, steps)
    reports: list[TechniqueReport] = []
    for technique in reversed(techniques):
        reports.insert(0, technique.report(wrapped))
        wrapped = technique.finalize(wrapped)
    return Trained(wrapped, history, tuple(reports), _in_words(stage))


def _compiled(order: StageOrder, steps: int | None) -> tuple[Any, tuple[Any, ...]]:
    """The wrapped model, ready for its first step, and its techniques."""
    set_seeds(seed_of(order.seed, order.number, "prepare"))
    wrapped, techniques = _prepared(order)
    losses = _losses(order)
    optimizer, _ = optimizer_for(wrapped, order.stage.optimizer, order.stage.learning_rate, None)
    wrapped.compile(optimizer=optimizer, loss=losses, metrics=_metrics(losses))
    spare_vectors(wrapped)
    _settle_schedules(wrapped, techniques, order.stage, steps)
    return wrapped, techniques


def _brought_home(order: StageOrder, wrapped: Any, steps: int | None) -> Any:
    """What several devices trained, as a model of one: no copy of a variable is left to choose."""
    home, _ = _compiled(order, steps)
    restore(home, snapshot_of(wrapped, order.stage.epochs, {}))
    return home


def _prepared(order: StageOrder) -> tuple[Any, tuple[Any, ...]]:
    """The wrapped model, and the techniques with models in the place of names."""
    from tfgreen.compression.copies import copy_of

    techniques = tuple(
        one.with_teachers(order.teachers) if hasattr(one, "with_teachers") else one
        for one in order.stage.techniques
    )
    wrapped = order.model
    for technique in techniques:
        wrapped = technique.prepare(wrapped, order.calibration)
    return (wrapped if techniques else copy_of(order.model)), techniques


def _losses(order: StageOrder) -> Any:
    """The loss of each output; None where a teacher alone is learned from."""
    samples = order.data.samples
    labels = None if samples is None else samples.labels_for(output_names_of(order.model))
    lacks_labels = is_unlabelled(order.data.pipeline) if labels is None else not labels
    if lacks_labels and any(getattr(one, "alpha", None) == 0 for one in order.stage.techniques):
        return None
    if lacks_labels:
        source = "a pipeline" if samples is None else samples.source
        todo = "Give batches of (x, y)" if samples is None else "Add them as y"
        raise UsageError(
            f"Stage '{order.stage.name}' trains on {source}, which has no labels. {todo}, or "
            "learn from a teacher alone: distillation with alpha = 0."
        )
    if not order.compiled_loss:
        return sole(losses_of(order.model, order.stage, labels))
    refuse_unfit_classes(order.model, order.compiled_loss, labels or {})
    return order.compiled_loss


def _metrics(losses: Any) -> Any:
    if losses is None:
        return None
    return sole(metrics_for(losses if isinstance(losses, dict) else {"": losses}))


def _epochs(order: StageOrder, notebook: Notebook) -> tuple[Any, int | None, int]:
    """The dataset of the epochs that are left, the steps of each, and the first epoch."""
    first = 0 if notebook.unfinished is None else notebook.unfinished.epoch
    if order.data.samples is None:
        return order.data.pipeline, _length(order.data.pipeline), first
    data, steps = epochs_of(
        order.data.samples,
        output_names_of(order.model),
        batch_size=order.stage.batch_size,
        seed=seed_of(order.seed, order.number),
        first=first,
        epochs=order.stage.epochs,
    )
    return data, steps, first


def _length(pipeline: Any) -> int | None:
    """The batches of an epoch where they can be known."""
    try:
        return len(pipeline)
    except TypeError:
        return None


def _validation(order: StageOrder) -> Any:
    given = order.data.validation
    if isinstance(given, Samples):
        given = batches_of(given, output_names_of(order.model), order.stage.batch_size)
    return None if given is None else order.devices.distributed(given)


def _settle_schedules(
    wrapped: Any, techniques: Sequence[Any], stage: Stage, steps: int | None
) -> None:
    """Tell pruning how long the stage is, now: a resumed `fit` would take what is left for it."""
    from tfgreen.compression.pruning.pruning import Pruning
    from tfgreen.compression.technique import is_prepared_by, state_of

    for technique in techniques:
        if not isinstance(technique, Pruning) or not technique.is_scheduled_by_length:
            continue
        total = technique.training_steps or (steps or 0) * stage.epochs
        if not total:
            raise UsageError(
                "Nobody knows how many batches the training pipeline has, and Pruning begins and "
                "ends at a share of them: give it a length (assert_cardinality), or Pruning its "
                "training_steps."
            )
        for part in (wrapped, *wrapped.submodules):
            if is_prepared_by(part, technique):
                state_of(part, technique).schedule_for(technique, total)


def _own_callbacks(techniques: Sequence[Any]) -> list[Any]:
    """Callbacks that count from the stage's first epoch, and not from that of a resumed `fit`."""
    from tfgreen.compression.quantization.norm_freezing import norm_freezing
    from tfgreen.compression.quantization.quantization import QuantizationAwareTraining

    return [
        norm_freezing(technique.freeze_batch_norm_after or 0.0, first_epoch=0)
        for technique in techniques
        if isinstance(technique, QuantizationAwareTraining) and technique.callbacks()
    ]


def _rates(stage: Stage) -> list[Any]:
    """What moves the learning rate, by the share of the stage that is done."""
    follow = function_of(stage.learning_rate_schedule)
    if follow is None or follow is constant:
        return []
    return [RateCallback(follow, stage.learning_rate)]


def _in_words(stage: Stage) -> str:
    schedule = stage.learning_rate_schedule
    moving = "" if schedule == "constant" else f", {schedule}"
    return f"{stage.optimizer}, learning rate {stage.learning_rate:g}{moving}"
