"""`tg.fit`: train a Keras model with good defaults, within a budget, and tell what it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfgreen.footprint.entry import Entry, Purpose
from tfgreen.footprint.ledger import Ledger
from tfgreen.footprint.meter import Meter
from tfgreen.training.asked import check_further, check_numbers, in_own_order, watch_for
from tfgreen.training.budget import Budget
from tfgreen.training.compiling import settings_for
from tfgreen.training.feeding import Feed, feed_of
from tfgreen.training.jit_trial import check, measured_choice
from tfgreen.training.optimizers import optimizer_for, package_of, spare_vectors
from tfgreen.training.precision import check_mixable, mixed, policy_for
from tfgreen.training.rate_callback import PlateauCallback, RateCallback
from tfgreen.training.result import FitResult
from tfgreen.training.schedules import function_of

if TYPE_CHECKING:
    from tfgreen.training.budget_callback import BudgetCallback


def fit(
    model: Any,
    data: Any,
    *,
    validation_data: Any = None,
    epochs: int = 20,
    initial_epoch: int = 0,
    batch_size: int = 32,
    optimizer: str = "adamw",
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    schedule: str = "one-cycle",
    loss: Any = None,
    metrics: Any = None,
    metric: str | None = None,
    budget: Budget | BudgetCallback | None = None,
    mixed_precision: bool | str = False,
    jit_compile: bool | Literal["measure"] | None = None,
    seed: int | None = None,
    callbacks: Sequence[Any] = (),
    ledger: Ledger | None = None,
    stage: str = "train",
    purpose: Purpose | None = None,
    verbose: Any = "auto",
    **fit_arguments: Any,
) -> FitResult:
    """Train a model of Keras 3 or tf_keras in place, and put the weights of its best epoch back.

    One that is being pruned keeps those of the last epoch, which has its zeros. It comes back
    compiled with the optimizer that trained it, at the peak learning rate.

    Args:
        model: compiled or not; what `prepare` of a technique gave, too.
        data: (x, y) or (x, y, sample weights), or whatever else the model's own `fit` takes.
        validation_data: as the model's own `fit` takes it; evaluated after every epoch.
        epochs: at most so many. initial_epoch: the first one, to take a training up again.
        batch_size: of arrays; other data come in batches.
        optimizer: "adamw", "adam", "lion", "sgd" or "sgd-nesterov".
        learning_rate: at the peak of the schedule; by default one that suits the optimizer.
        weight_decay: of kernels, not of vectors; by default one that suits the optimizer.
        schedule: "one-cycle", "cosine" (with warm-up), "reduce-on-plateau" or "constant". Where
            a budget ends the training before its last epoch, the schedule follows the budget.
        loss, metrics: by default those that the model is compiled with.
        metric: a key of the history that chooses the best epoch; by default that of the budget,
            else val_loss, or loss where nothing is evaluated.
        budget: when to stop, or the callback of a budget that other fits have used, too.
        mixed_precision: compute in 16 bits, with weights in 32: True for float16 on a GPU and
            bfloat16 elsewhere, or the name of Keras's policy; for Keras 3.
        jit_compile: "measure" lets a trial of some steps with and without XLA decide; None: as
            the model is compiled, else as Keras decides.
        seed: sets the random seeds of Python, NumPy and TensorFlow, and the order of samples in
            each epoch (`tfgreen.training.order.epoch_order`); with `validation_split` or
            `shuffle=False` the order is Keras's. None leaves both to Keras.
        callbacks: further ones, for the model's own `fit`.
        ledger: takes the entry, under the name `stage`.
        verbose, fit_arguments: for the model's own `fit`, class_weight and validation_split, say.

    Raises:
        UnknownNameError: an optimizer or schedule that there is not, with the closest.
        UsageError: no loss, a metric that the history does not have, a number that cannot be.
        UnsupportedModelError: mixed precision for tf_keras or a subclassed model.
        InvalidDataError: no data, or arrays of different lengths.

    A fit that raises, or is interrupted, leaves the best weights so far, and its entry.
    """
    follow = function_of(schedule)
    check(jit_compile)
    check_numbers(epochs, initial_epoch, batch_size, seed)
    check_further(fit_arguments)
    policy = policy_for(mixed_precision)
    check_mixable(model, policy)
    settings = settings_for(model, loss, metrics)
    order_seed = seed if in_own_order(fit_arguments) else None
    feed = feed_of(data, batch_size, order_seed, initial_epoch)
    evaluated = validation_data is not None or bool(fit_arguments.get("validation_split"))
    watch = watch_for(budget, metric, evaluated=evaluated)
    _, peak = optimizer_for(model, optimizer, learning_rate, weight_decay)
    found = getattr(model, "optimizer", None)

    def compiled(jit: bool | None) -> None:
        made, _ = optimizer_for(model, optimizer, learning_rate, weight_decay)
        model.compile(
            **{**settings, **({} if jit is None else {"jit_compile": jit})}, optimizer=made
        )
        spare_vectors(model)

    rates: Any = PlateauCallback(peak, watch.budget)
    if follow is not None:
        rates = RateCallback(follow, peak, watch)
    arguments = {
        "validation_data": validation_data, "epochs": epochs, "initial_epoch": initial_epoch,
        "verbose": verbose, **fit_arguments,
    }  # fmt: skip
    book = ledger if ledger is not None else Ledger()
    known = {entry.id for entry in book.entries}
    with book.stage(stage, purpose=purpose, meter=Meter()):
        try:
            with mixed(model, policy):
                _sow(model, seed)
                notes = _compile(model, compiled, jit_compile, feed, arguments)
                _sow(model, seed)  # a trial has drawn from it
                history = _run(model, feed, [watch, rates, *callbacks], watch, arguments)
        finally:
            if getattr(model, "optimizer", None) is not found:
                _settle(model, settings if policy else None, peak)
    begun = len(history.epoch)
    return FitResult(
        history={name: np.asarray(values).tolist() for name, values in history.history.items()},
        stopped=_why(watch, begun, epochs - initial_epoch),
        entry=_entry(book, known, stage),
        metric=watch.metric.name if watch.metric else "",
        best=watch.best,
        best_epoch=watch.best_epoch,
        epochs=begun,
        notes=(*notes, *_kept(watch)),
    )


def _sow(model: Any, seed: int | None) -> None:
    """Set the random seeds, if there is one to set."""
    if seed is not None:
        package_of(model).utils.set_random_seed(seed)


def _entry(book: Ledger, known: AbstractSet[str], stage: str) -> Entry:
    """The entry that is new: not one of a stage within it, nor of another process."""
    new = [one for one in book.entries if one.id not in known and one.stage == stage]
    inside = {one.id for one in new}
    return next(one for one in new if one.finished and one.within not in inside)


def _compile(
    model: Any,
    compiled: Callable[[bool | None], None],
    jit_compile: bool | Literal["measure"] | None,
    feed: Feed,
    arguments: dict[str, Any],
) -> tuple[str, ...]:
    """Compile, after a trial where one is asked for; what the trial said."""
    if jit_compile != "measure":
        compiled(jit_compile)
        return ()
    compiled(False)
    steps = arguments.get("steps_per_epoch") or feed.steps
    epochs = arguments["epochs"] - arguments["initial_epoch"]
    choice = measured_choice(model, feed.trial, steps and steps * epochs)
    compiled(choice.jit_compile)
    return (choice.note,)


def _run(
    model: Any, feed: Feed, callbacks: list[Any], watch: BudgetCallback, arguments: dict[str, Any]
) -> Any:
    """The model's own fit; one that does not come to its end leaves the best weights."""
    try:
        return model.fit(**{**feed.arguments, **arguments}, callbacks=callbacks)
    except BaseException:
        watch.close()
        raise


def _settle(model: Any, settings: dict[str, Any] | None, peak: float) -> None:
    """Leave the optimizer at its peak; compile anew where the steps compute in 16 bits."""
    optimizer = model.optimizer
    if settings is not None:
        model.compile(optimizer=getattr(optimizer, "inner_optimizer", optimizer), **settings)
    model.optimizer.learning_rate = peak


def _kept(watch: BudgetCallback) -> tuple[str, ...]:
    if watch.keeps_best or not watch.budget.restore_best:
        return ()
    return (
        "The weights of the last epoch stay: while it is pruned, earlier ones have fewer zeros.",
    )


def _why(watch: BudgetCallback, begun: int, asked: int) -> str:
    if watch.stopped is not None:
        return watch.stopped
    if begun < asked:
        return f"Stopped after epoch {watch.last_epoch}: another callback ended the training."
    return f"Ran to the end: all {asked} epochs."
