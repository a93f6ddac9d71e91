"""One number that says how good a model is on the given data, and how far it may fall."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tfgreen.compression.plain_options import plain
from tfgreen.errors import UnknownNameError, UsageError

_PAIR = 2
_LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "mape", "msle", "crossentropy", "divergence")


@dataclass(frozen=True)
class Metric:
    """How to measure a model.

    Args:
        data: what `model.evaluate` takes: (x, y), (x, y, sample_weight) or a dataset that can be
            read again; or a function of the model that returns the number.
        name: one of the metrics that the model was compiled with; by default the first of them,
            or its loss. For a function it is a title.
        higher_is_better: by default the name tells: losses and errors are better when lower.
    """

    data: Any
    name: str | None = None
    higher_is_better: bool | None = None

    def __post_init__(self) -> None:
        if isinstance(self.data, Iterator):
            raise UsageError(
                f"The data to measure on is a {type(self.data).__name__}, which can be read only "
                "once. Give (x, y) or a dataset."
            )

    def of(self, model: Any) -> tuple[str, float]:
        """The metric's name and value.

        Raises:
            UsageError: the model is not compiled, or not with a metric of this name.
        """
        if callable(self.data) and not hasattr(self.data, "element_spec"):
            title = self.name or str(getattr(self.data, "__name__", "metric"))
            return title, float(self.data(model))
        if not getattr(model, "compiled", getattr(model, "_is_compiled", False)):
            raise UsageError(
                f"The model '{model.name}' is not compiled, so it has no metric to measure. "
                "Compile it with metrics, or give a function of the model instead of data."
            )
        parts = self.data if isinstance(self.data, tuple | list) else (self.data,)
        weight = {"sample_weight": parts[2]} if len(parts) > _PAIR else {}
        values = model.evaluate(*parts[:_PAIR], return_dict=True, verbose=0, **weight)
        names = [name for name in values if name != "loss" and not name.endswith("_loss")]
        name = self.name or next(iter(names), "loss")
        if name not in values:
            raise UnknownNameError("metric", name, values)
        return name, float(values[name])

    def drop(self, name: str, before: float, after: float) -> float:
        """How much worse it has become; negative where it is better."""
        higher = self.higher_is_better
        if higher is None:
            higher = not any(part in name.lower() for part in _LOWER_IS_BETTER)
        return before - after if higher else after - before


def check_max_drop(value: Any) -> None:
    """Refuse what is no distance."""
    value = plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not value >= 0:
        raise UsageError(
            f"max_drop received {value!r}; expected how far the metric may fall, 0 or more."
        )
