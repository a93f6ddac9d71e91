"""The written-out lists against the packages that they describe."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from tfgreen.models import known_classes


@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
@pytest.mark.parametrize("space", ["layers", "initializers", "regularizers", "constraints"])
def test_every_public_class_is_listed(
    flavours: dict[str, ModuleType], flavour: str, space: str
) -> None:
    public = vars(getattr(flavours[flavour], space))
    names = {name for name, value in public.items() if inspect.isclass(value) and name[0].isupper()}
    assert names - known_classes.CLASSES <= known_classes.CODE_RUNNING_LAYERS


@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
def test_every_activation_is_listed(flavours: dict[str, ModuleType], flavour: str) -> None:
    public = vars(flavours[flavour].activations)
    names = {name for name, value in public.items() if inspect.isfunction(value)}
    assert names - {"get", "serialize", "deserialize"} <= known_classes.ACTIVATIONS


@pytest.mark.parametrize("flavour", ["keras3", "keras2"])
@pytest.mark.parametrize("space", ["losses", "metrics"])
def test_every_loss_and_metric_is_listed(
    flavours: dict[str, ModuleType], flavour: str, space: str
) -> None:
    public = vars(getattr(flavours[flavour], space))
    names = {name for name, value in public.items() if inspect.isfunction(value)}
    assert names - {"get", "serialize", "deserialize"} <= known_classes.LOSSES_AND_METRICS


def test_layers_that_run_code_are_not_listed_as_harmless() -> None:
    assert known_classes.CODE_RUNNING_LAYERS.isdisjoint(known_classes.CLASSES)
