"""The scan measures what one pruned layer costs, leaves the model alone, and sets targets."""

from __future__ import annotations

import builtins
import json
from typing import Any

import numpy as np
import pytest

from tests.compression.models import data, dense_model, fingerprint, kernels, tf_keras_model
from tfgreen.compression.pruning.masks import largest
from tfgreen.compression.pruning.pruning import Pruning
from tfgreen.compression.pruning.sensitivity import (
    LayerSensitivity,
    SensitivityScan,
    sensitivity_scan,
)
from tfgreen.errors import (
    MissingDependencyError,
    UnknownNameError,
    UnsupportedModelError,
    UsageError,
)

X, Y = data()


@pytest.fixture(scope="module")
def model() -> Any:
    trained = dense_model()
    trained.fit(X, Y, epochs=20, verbose=0)
    return trained


def test_each_layer_is_pruned_alone(model: Any) -> None:
    before = fingerprint(model)
    scan = sensitivity_scan(model, (X, Y), sparsities=(0.9, 0.5), metric="loss")
    assert fingerprint(model) == before
    assert scan.sparsities == (0.5, 0.9)
    assert [(one.layer, one.kind, one.weights) for one in scan.layers] == [
        ("hidden", "Dense", 128),
        ("head", "Dense", 48),
    ]
    assert scan.baseline == pytest.approx(model.evaluate(X, Y, verbose=0)[0])
    by_hand = dense_model()
    by_hand.set_weights(model.get_weights())
    kernel = kernels(model)["head"]
    by_hand.layers[2].kernel.assign(kernel * largest(kernel, 0.9))
    loss = by_hand.evaluate(X, Y, verbose=0)[0]
    assert scan.layers[1].values[1] == pytest.approx(loss, rel=1e-6)
    assert scan.layers[1].drops[1] == pytest.approx(loss - scan.baseline, rel=1e-4)


def test_targets_are_the_largest_that_cost_little_enough() -> None:
    scan = SensitivityScan(
        "accuracy",
        0.9,
        (0.5, 0.7, 0.9),
        (
            LayerSensitivity("robust", "Dense", 10, (0.9, 0.89, 0.88), (0.0, 0.01, 0.02)),
            LayerSensitivity("fragile", "Dense", 10, (0.8, 0.7, 0.6), (0.1, 0.2, 0.3)),
            LayerSensitivity("uneven", "Dense", 10, (0.9, 0.5, 0.9), (0.0, 0.4, 0.0)),
        ),
    )
    assert scan.targets(max_drop=0.01) == {"robust": 0.7, "fragile": 0.0, "uneven": 0.5}
    with pytest.raises(UsageError, match="max_drop received -1"):
        scan.targets(-1)


def test_targets_set_pruning(model: Any) -> None:
    scan = sensitivity_scan(model, (X, Y), sparsities=(0.25, 0.5))
    technique = Pruning(sparsity=scan.targets(max_drop=1.0))
    report = technique.report(technique.prepare(model))
    assert report.of("hidden").measures["target"] == 0.5


def test_a_function_measures(model: Any) -> None:
    def largest_weight(candidate: Any) -> float:
        return float(np.abs(kernels(candidate)["hidden"]).sum())

    scan = sensitivity_scan(model, largest_weight, sparsities=[0.5], layers=["hidden"])
    kernel = np.sort(np.abs(kernels(model)["hidden"]).ravel())
    assert scan.metric == "largest_weight"
    assert scan.layers[0].values[0] == pytest.approx(kernel[64:].sum(), rel=1e-5)
    assert scan.layers[0].drops[0] == pytest.approx(kernel[:64].sum(), rel=1e-4)


def test_a_tf_keras_model() -> None:
    scan = sensitivity_scan(tf_keras_model(), (X, Y), sparsities=[0.5], skip=["hidden"])
    assert scan.metric == "accuracy"
    assert [one.layer for one in scan.layers] == ["head"]


def test_table_and_facts(model: Any) -> None:
    scan = sensitivity_scan(model, (X, Y), sparsities=(0.5,))
    title, _, columns, _, *rows = str(scan).splitlines()
    assert title == f"accuracy with one layer pruned; {scan.baseline:.4g} with none"
    assert [cell.strip() for cell in columns.strip("|").split("|")] == [
        "layer",
        "kind",
        "weights",
        "50 %",
    ]
    assert len(rows) == 2
    facts = json.loads(json.dumps(scan.to_facts()))
    assert facts["layers"][0]["weights"] == 128


def test_plot(model: Any, tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    figure = sensitivity_scan(model, (X, Y), sparsities=(0.5, 0.9)).plot()
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["hidden", "head", "unpruned"]
    figure.savefig(tmp_path / "scan.png")
    assert (tmp_path / "scan.png").stat().st_size > 1000


def test_a_plot_without_matplotlib_names_the_pip_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tfgreen\[report\]'"):
        SensitivityScan("accuracy", 0.9, (0.5,), ()).plot()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsities": (1.0,)}, "sparsities received 1.0"),
        ({"sparsities": ()}, "sparsities is empty"),
        ({"layers": ["hed"]}, "Did you mean 'head'"),
        ({"layers": [3]}, "layers received 3"),
        ({"metric": "acuracy"}, "Unknown metric 'acuracy'. Did you mean 'accuracy'"),
        ({"data": iter([(X, Y)])}, "can be read only once"),
    ],
)
def test_bad_input_is_refused(model: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sensitivity_scan(model, options.pop("data", (X, Y)), **options)


def test_nothing_to_scan_is_refused(model: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="None of the layers to scan has a kernel"):
        sensitivity_scan(model, (X, Y), layers=["norm"])


def test_an_uncompiled_model_needs_a_function() -> None:
    with pytest.raises(UsageError, match="is not compiled"):
        sensitivity_scan(dense_model(compiled=False), (X, Y))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError):
        sensitivity_scan(dense_model(), (X, Y), skip=["nothing"])
