"""The distiller: its losses against NumPy, what it trains and leaves alone, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgreen as tg
from tests.compression.distillation_models import (
    FLAVOURS,
    bits,
    crossentropy,
    divergence,
    label_losses,
    net,
    package,
    softmax,
)
from tests.compression.models import data

TOLERANCE = 1e-6
X, Y = data()


def compiled(distiller: Any, flavour: str, **options: Any) -> Any:
    arguments = {"loss": crossentropy(flavour), "metrics": ["accuracy"], **options}
    distiller.compile(package(flavour).optimizers.Adam(0.01), **arguments)
    return distiller


def said(model: Any, x: Any = X) -> np.ndarray:
    return np.asarray(model(x, training=False))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_is_a_model_of_the_students_own_keras(flavour: str) -> None:
    student = net(4, flavour)
    distiller = tg.Distiller(student, net(16))
    assert isinstance(distiller, package(flavour).Model)
    assert isinstance(distiller, tg.Distiller)
    assert distiller.student is student
    assert [id(w) for w in distiller.weights] == [id(w) for w in student.weights]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("end", [None, "softmax"])
def test_losses_with_weights_and_features(flavour: str, end: str | None) -> None:
    student, teacher = net(4, flavour, end), net(16, end=end, seed=1)
    student.layers[0].kernel.assign(student.layers[0].kernel * 3)
    distiller = tg.Distiller(
        student, teacher, alpha=0.3, temperature=3.0, features={"norm": "norm"}, feature_weight=0.5
    )
    compiled(distiller, flavour, loss=crossentropy(flavour, from_logits=end is None))
    weights = np.linspace(0, 2, len(X)).astype("float32")
    found = distiller.evaluate(
        X, Y, sample_weight=weights, batch_size=64, verbose=0, return_dict=True
    )
    ours, theirs = said(student), said(teacher)
    if end:
        ours, theirs = np.log(ours), np.log(theirs)
    labels = (label_losses(Y, ours) * weights).mean()
    taught = (divergence(theirs, ours, 3.0) * weights).mean()
    kernel = np.asarray(distiller.projections[0].kernel, np.float64)
    hidden = [hidden_output(model) for model in (student, teacher)]
    features = 0.5 * (np.square(hidden[0] @ kernel - hidden[1]).mean(-1) * weights).mean()
    near = {"rel": 1e-5 if end else 2 * TOLERANCE, "abs": TOLERANCE}
    assert found["student_loss"] == pytest.approx(labels, **near)
    assert found["distillation_loss"] == pytest.approx(taught, **near)
    assert found["feature_loss"] == pytest.approx(features, **near)
    assert found["loss"] == pytest.approx(0.3 * labels + 0.7 * taught + features, **near)
    assert found["accuracy"] == pytest.approx((ours.argmax(-1) == Y).mean(), abs=1e-6)


def hidden_output(model: Any) -> np.ndarray:
    """The output of `norm`, in float64."""
    hidden, norm = model.layers[0], model.layers[1]
    return np.float64(np.asarray(norm(hidden(X), training=False)))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_plain_form_and_regularizers(flavour: str) -> None:
    own = package(flavour)
    student = own.Sequential(
        [own.Input((8,)), own.layers.Dense(3, kernel_regularizer=own.regularizers.L2(0.1))]
    )
    teacher = net(16)
    distiller = tg.Distiller(
        student,
        teacher,
        alpha=0,
        temperature=4,
        scale_by_temperature=False,
        kind="categorical",
    )
    compiled(distiller, flavour, loss=None, metrics=None)
    assert set(distiller.metrics_names) == {"loss", "distillation_loss"}
    found = distiller.evaluate(X, batch_size=64, verbose=0, return_dict=True)
    taught = divergence(said(teacher), said(student), 4.0).mean() / 16
    penalty = 0.1 * np.square(np.float64(np.asarray(student.layers[-1].kernel))).sum()
    assert found["distillation_loss"] == pytest.approx(taught, rel=2e-6, abs=TOLERANCE)
    assert found["loss"] == pytest.approx(taught + penalty, rel=2e-6, abs=TOLERANCE)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_class_weights_count_for_labels_only_where_asked(flavour: str) -> None:
    class_weight = {0: 1.0, 1: 2.0, 2: 0.0}
    factors = np.array([1.0, 2.0, 0.0])[Y]
    for which in ("both", "labels"):
        student, teacher = net(4, flavour), net(16)
        ours, theirs = said_in_training(student, flavour), said(teacher)
        distiller = tg.Distiller(student, teacher, sample_weights=which)
        compiled(distiller, flavour)
        history = distiller.fit(X, Y, batch_size=64, class_weight=class_weight, verbose=0).history
        taught = divergence(theirs, ours)
        expected = (taught * factors if which == "both" else taught).mean()
        labels = (label_losses(Y, ours) * factors).mean()
        assert history["distillation_loss"][0] == pytest.approx(expected, rel=1e-5)
        assert history["student_loss"][0] == pytest.approx(labels, rel=1e-5)


def said_in_training(student: Any, flavour: str) -> np.ndarray:
    """The first batch is normalized by its own statistics."""
    kernel, bias = (np.float64(w) for w in student.layers[0].get_weights())
    hidden = np.maximum(X @ kernel + bias, 0)
    normal = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-3)
    kernel, bias = (np.float64(w) for w in student.layers[2].get_weights())
    return np.asarray(normal @ kernel + bias)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_sequences_with_padding(flavour: str) -> None:
    student, teacher = language_model(flavour, 4, 1), language_model("keras3", 8, 2)
    tokens = np.random.default_rng(0).integers(1, 10, (6, 7))
    tokens[:, 4:] = 0
    tokens[2, 2:] = 0
    labels = np.random.default_rng(1).integers(0, 10, (6, 7))
    distiller = tg.Distiller(student, teacher)
    compiled(distiller, flavour, metrics=None)
    found = distiller.evaluate(tokens, labels, batch_size=6, verbose=0, return_dict=True)
    losses = divergence(said(teacher, tokens), said(student, tokens))
    assert found["distillation_loss"] == pytest.approx(
        losses[tokens != 0].mean(), rel=2e-6, abs=TOLERANCE
    )
    weights = np.random.default_rng(2).uniform(size=(6, 7)).astype("float32")
    found = distiller.evaluate(
        tokens, labels, sample_weight=weights, batch_size=6, verbose=0, return_dict=True
    )
    expected = (losses * weights)[tokens != 0].sum() / (tokens != 0).sum()
    assert found["distillation_loss"] == pytest.approx(expected, rel=2e-6, abs=TOLERANCE)


def language_model(flavour: str, width: int, seed: int, mask: bool = True) -> Any:
    own = package(flavour)
    own.utils.set_random_seed(seed)
    inputs = own.Input((7,), dtype="int32")
    embedded = own.layers.Embedding(10, width, mask_zero=mask)(inputs)
    hidden = own.layers.LSTM(width, return_sequences=True)(embedded)
    wide = own.initializers.RandomNormal(0, 5, seed=seed)
    return own.Model(inputs, own.layers.Dense(10, kernel_initializer=wide)(hidden))


def test_an_ignored_class_is_not_distilled() -> None:
    student, teacher = (language_model("keras3", width, width, mask=False) for width in (4, 8))
    tokens = np.random.default_rng(0).integers(1, 10, (6, 7))
    labels = np.random.default_rng(1).integers(0, 10, (6, 7))
    labels[:, 5:] = -1
    distiller = tg.Distiller(student, teacher)
    compiled(distiller, "keras3", loss=crossentropy("keras3", ignore_class=-1), metrics=None)
    found = distiller.evaluate(tokens, labels, batch_size=6, verbose=0, return_dict=True)
    losses = divergence(said(teacher, tokens), said(student, tokens))
    assert found["distillation_loss"] == pytest.approx(
        losses[:, :5].mean(), rel=2e-6, abs=TOLERANCE
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_labels_and_values(flavour: str) -> None:
    student, teacher = net(4, flavour, "sigmoid"), net(16, end="sigmoid")
    distiller = compiled(
        tg.Distiller(student, teacher), flavour, loss="binary_crossentropy", metrics=None
    )
    found = distiller.evaluate(X, np.eye(3)[Y], batch_size=64, verbose=0, return_dict=True)
    ours, theirs = (np.float64(said(model)) for model in (student, teacher))
    ours, theirs = (1 / (1 + ((1 - p) / p) ** 0.5) for p in (ours, theirs))
    losses = theirs * np.log(theirs / ours) + (1 - theirs) * np.log((1 - theirs) / (1 - ours))
    assert found["distillation_loss"] == pytest.approx(4 * losses.mean(), rel=1e-5)

    student, teacher = net(4, flavour), net(16)
    distiller = compiled(tg.Distiller(student, teacher), flavour, loss="mse", metrics=None)
    found = distiller.evaluate(X, np.eye(3)[Y], batch_size=64, verbose=0, return_dict=True)
    expected = np.square(said(student) - said(teacher)).mean()
    assert found["distillation_loss"] == pytest.approx(expected, rel=2e-6, abs=TOLERANCE)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_several_teachers_and_outputs(flavour: str) -> None:
    student = two_headed(flavour, 4)
    teachers = [two_headed("keras3", 8), two_headed("keras2", 16)]
    distiller = tg.Distiller(student, teachers, teacher_weights=[3, 1])
    losses = {"class": crossentropy(flavour), "value": "mse"}
    compiled(
        distiller, flavour, loss=losses, loss_weights={"class": 1.0, "value": 0.5}, metrics=None
    )
    y = {"class": Y, "value": X[:, :2]}
    found = distiller.evaluate(X, y, batch_size=64, verbose=0, return_dict=True)
    ours = [np.asarray(part) for part in student(X, training=False)]
    expected = 0.0
    for share, teacher in zip((0.75, 0.25), teachers, strict=True):
        theirs = [np.asarray(part) for part in teacher(X, training=False)]
        expected += share * divergence(theirs[0], ours[0]).mean()
        expected += share * 0.5 * np.square(theirs[1] - ours[1]).mean()
    assert found["distillation_loss"] == pytest.approx(expected, rel=2e-6, abs=TOLERANCE)


def two_headed(flavour: str, width: int) -> Any:
    own = package(flavour)
    own.utils.set_random_seed(width)
    inputs = own.Input((8,))
    hidden = own.layers.Dense(width, activation="relu")(inputs)
    heads = [own.layers.Dense(3, name="class")(hidden), own.layers.Dense(2, name="value")(hidden)]
    return own.Model(inputs, heads)


def two_words(flavour: str, width: int, order: str = "za", nest: bool = False) -> Any:
    """Two heads of three classes, whose names do not come in the alphabet's order."""
    own = package(flavour)
    own.utils.set_random_seed(width)
    inputs = own.Input((8,))
    hidden = own.layers.Dense(width, activation="relu")(inputs)
    heads = {name: own.layers.Dense(3, name=name)(hidden) for name in order}
    return own.Model(inputs, heads if nest else list(heads.values()))


def said_by_name(model: Any) -> dict[str, np.ndarray]:
    outputs = model(X, training=False)
    named = outputs if isinstance(outputs, dict) else zip(model.output_names, outputs, strict=True)
    return {name: np.asarray(output) for name, output in dict(named).items()}


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("teacher", ["same order", "other order", "dict", "saved model"])
def test_outputs_labels_and_weights_meet_by_name(
    flavour: str, teacher: str, tmp_path: Path
) -> None:
    student = two_words(flavour, 4, nest=teacher == "dict")
    order = "az" if teacher == "other order" else "za"
    given = source = two_words("keras2", 8, order, nest=teacher == "dict")
    options = {}
    if teacher == "saved model":
        tf.saved_model.save(source, str(tmp_path))
        given, options = tmp_path, {"teacher_outputs": "logits"}
    distiller = tg.Distiller(student, given, **options)
    losses = {"z": crossentropy(flavour), "a": crossentropy(flavour, ignore_class=-1)}
    weighing = {"z": 1.0, "a": 0.25}
    compiled(distiller, flavour, loss=losses, loss_weights=weighing, metrics=None)
    some = np.where(np.arange(len(Y)) % 2, Y, -1)
    weights = {"z": np.linspace(0, 2, len(X)).astype("float32"), "a": np.ones(len(X), "float32")}
    takes_weights = flavour == "keras2" or teacher == "dict"  # Keras 3, for a dict of outputs only
    if not takes_weights:
        weights = {name: np.ones(len(X), "float32") for name in weights}
    found = distiller.evaluate(
        X,
        {"z": Y, "a": some},
        sample_weight=weights if takes_weights else None,
        batch_size=64,
        verbose=0,
        return_dict=True,
    )
    ours, theirs = said_by_name(student), said_by_name(source)
    expected = (divergence(theirs["z"], ours["z"]) * weights["z"]).mean()
    expected += 0.25 * divergence(theirs["a"], ours["a"])[some != -1].mean()
    assert found["distillation_loss"] == pytest.approx(expected, rel=2e-6, abs=TOLERANCE)


def test_a_saved_model_whose_outputs_nobody_can_tell_apart(tmp_path: Path) -> None:
    tf.saved_model.save(two_words("keras2", 8), str(tmp_path / "named"))
    with pytest.raises(tg.UsageError, match="nothing tells which belong together"):
        tg.Distiller(two_words("keras3", 4, "pq"), tmp_path / "named", teacher_outputs="logits")
    two_words("keras3", 8).export(tmp_path / "counted", verbose=False)
    tg.Distiller(two_words("keras3", 4, "pq"), tmp_path / "counted", teacher_outputs="logits")


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("teacher_flavour", FLAVOURS)
def test_only_student_and_projections_are_trained(flavour: str, teacher_flavour: str) -> None:
    student, teacher = net(4, flavour), net(16, teacher_flavour)
    before, trainable = bits(teacher), [layer.trainable for layer in teacher.layers]
    distiller = tg.Distiller(student, teacher, features={"norm": "norm"})
    compiled(distiller, flavour)
    own = {id(w) for w in (*student.trainable_weights, *distiller.projections[0].weights)}
    assert {id(w) for w in distiller.trainable_variables} == own
    with tf.GradientTape() as tape:
        x, lessons, y, weights = distiller._unpacked((tf.constant(X), tf.constant(Y)))
        answer = vars(distiller)["_bench"].forward(x, training=True)
        loss = distiller._objective(answer, lessons, y, weights)
    everything = [*map(raw, distiller.trainable_variables), *map(raw, teacher.trainable_weights)]
    gradients = tape.gradient(loss, everything)
    count = len(distiller.trainable_variables)
    assert all(gradient is not None for gradient in gradients[:count])
    assert all(gradient is None for gradient in gradients[count:])
    distiller.fit(X, Y, epochs=2, verbose=0)
    assert bits(teacher) == before
    assert teacher.trainable and [layer.trainable for layer in teacher.layers] == trainable
    assert not {id(w) for w in teacher.weights} & {id(w) for w in distiller.weights}
    assert distiller.count_params() == student.count_params() + 4 * 16


def raw(variable: Any) -> Any:
    """The TensorFlow variable of a variable of either Keras."""
    return variable.value if isinstance(variable, keras.Variable) else variable


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_batch_normalization_moves_once_a_step(flavour: str) -> None:
    student = net(4, flavour)
    hidden = np.maximum(X @ student.layers[0].get_weights()[0], 0)
    distiller = compiled(tg.Distiller(student, net(16), features={"norm": "norm"}), flavour)
    distiller.fit(X, Y, batch_size=64, verbose=0)
    moved = np.asarray(student.layers[1].moving_mean)
    np.testing.assert_allclose(moved, 0.01 * hidden.mean(0), rtol=1e-4)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_student_learns_without_labels(flavour: str) -> None:
    teacher = net(32)
    teacher.compile(keras.optimizers.Adam(0.02), crossentropy("keras3"))
    teacher.fit(X, Y, epochs=30, verbose=0)
    student = net(16, flavour, "softmax")
    distiller = compiled(tg.Distiller(student, teacher, alpha=0), flavour, loss=None)
    history = distiller.fit(X, epochs=40, verbose=0, validation_data=(X, Y)).history
    assert history["val_accuracy"][-1] > 0.8
    assert "accuracy" not in history and "student_loss" not in history
    assert history["loss"] == pytest.approx(history["distillation_loss"])


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_alpha_and_temperature_move(flavour: str) -> None:
    seen = []

    def temperature(share: float) -> float:
        seen.append(share)
        return 4 - 3 * share

    distiller = tg.Distiller(net(4, flavour), net(16), alpha=(1.0, 0.0), temperature=temperature)
    bench = vars(distiller)["_bench"]
    compiled(distiller, flavour)
    seen.clear()
    history = distiller.fit(X, Y, batch_size=16, epochs=2, verbose=0).history
    assert seen == pytest.approx([step / 7 for step in range(8)])
    assert float(bench.alpha.now()) == 0.0 and float(bench.temperature.now()) == 1.0
    assert history["student_loss"][0] > 0 and history["loss"][1] != history["student_loss"][1]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_students_own_average(flavour: str) -> None:
    student = net(4, flavour)
    start = [np.array(weight) for weight in student.get_weights()]
    distiller = compiled(tg.Distiller(student, tg.MovingAverage(0.5)), flavour)
    distiller.fit(X, Y, batch_size=64, verbose=0)
    average = distiller.averages[0]
    assert not average.trainable_weights
    decay = min(0.5, 2 / 11)
    for old, new, mean in zip(start, student.get_weights(), average.get_weights(), strict=True):
        np.testing.assert_allclose(mean, decay * old + (1 - decay) * new, atol=1e-6)
    assert len(student.weights) == 8
    assert {id(w) for w in average.weights} < {id(w) for w in distiller.weights}


def test_a_saved_model_and_a_file_teach(tmp_path: Path) -> None:
    teacher = net(16, end="softmax")
    teacher.export(tmp_path / "teacher", verbose=False)
    teacher.save(tmp_path / "teacher.keras")
    expected = divergence(np.log(said(teacher)), said(net(4))).mean()
    for name, options in (("teacher", {"teacher_outputs": "probabilities"}), ("teacher.keras", {})):
        distiller = tg.Distiller(net(4), tmp_path / name, **options)
        found = compiled(distiller, "keras3").evaluate(
            X, Y, batch_size=64, verbose=0, return_dict=True
        )
        assert found["distillation_loss"] == pytest.approx(expected, rel=1e-5)
        distiller.fit(X, Y, verbose=0)
    with pytest.raises(tg.UsageError, match="Nobody tells whether the teacher"):
        compiled(tg.Distiller(net(4), tmp_path / "teacher"), "keras3")
    with pytest.raises(tg.UsageError, match="add up to 1"):
        compiled(tg.Distiller(net(4), tmp_path / "teacher", teacher_outputs="logits"), "keras3")


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("student", "teacher", "options", "message"),
    [
        ({}, {"outputs": 4}, {}, "gives 4 values and the student 3"),
        ({}, {}, {"temperature": 0}, "temperature received 0; expected a number above 0"),
        ({}, {}, {"temperature": float("nan")}, "temperature received nan"),
        ({}, {}, {"alpha": 1.5}, "alpha received 1.5; expected a number 0 or more and at most 1"),
        ({}, {}, {"alpha": (0.0, 2.0)}, "alpha received 1.0|alpha received 2.0"),
        ({}, {}, {"features": {"hidden": "nothing"}}, "Unknown layer of the teacher 'nothing'"),
        ({}, {}, {"features": {"no": "hidden"}}, "Unknown layer of the student 'no'"),
        ({}, {}, {"teacher_weights": [1, 2]}, "expected 1 numbers above 0"),
        ({}, {}, {"kind": "classes"}, "kind received 'classes'"),
        ({}, {}, {"feature_weight": 0}, "feature_weight received 0"),
        ({}, {}, {"sample_weights": "all"}, "sample_weights received 'all'"),
        ({"end": "softmax"}, {}, {}, "from_logits=True, but the student gives probabilities"),
        ({}, {"end": "sigmoid"}, {}, "ends with sigmoid .*does not fit kind='categorical'"),
        ({"end": "relu"}, {}, {}, "it ends with relu. Give student_outputs"),
        ({}, {"end": "tanh"}, {}, "it ends with tanh. Give teacher_outputs"),
        ({}, {}, {"student_outputs": "probabilities"}, "the student ends with linear"),
    ],
)  # fmt: skip
def test_refusals(flavour: str, student: Any, teacher: Any, options: Any, message: str) -> None:
    with pytest.raises(tg.UsageError, match=message):
        compiled(tg.Distiller(net(4, flavour, **student), net(16, **teacher), **options), flavour)


def test_more_refusals() -> None:
    student, teacher = net(4), net(16)
    with pytest.raises(tg.UsageError, match="teacher is the student itself"):
        tg.Distiller(student, student)
    shared = keras.Sequential([keras.Input((8,)), student.layers[0], keras.layers.Dense(3)])
    with pytest.raises(tg.UsageError, match="shares 2 weights with the student"):
        tg.Distiller(student, shared)
    other = keras.Sequential([keras.Input((9,)), keras.layers.Dense(3)])
    with pytest.raises(tg.UsageError, match="takes inputs of shape"):
        tg.Distiller(student, other)
    with pytest.raises(tg.UsageError, match="no teacher"):
        tg.Distiller(student, [])
    with pytest.raises(tg.UsageError, match="'large' is a name or a path that does not exist"):
        tg.Distiller(student, "large")
    with pytest.raises(tg.UsageError, match="received no loss, and alpha=0.1"):
        tg.Distiller(student, teacher).compile("adam")
    with pytest.raises(tg.UsageError, match="Nothing tells what the student's output means"):
        tg.Distiller(student, teacher, alpha=0).compile("adam")
    with pytest.raises(tg.UsageError, match="The data have no labels, and alpha=0.1"):
        compiled(tg.Distiller(student, teacher), "keras3").fit(X, verbose=0)
    with pytest.raises(tg.UsageError, match="from_logits=False, but the student gives logits"):
        tg.Distiller(student, teacher).compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(tg.UnsupportedModelError, match="expected a model"):
        tg.Distiller("student.keras", teacher)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_teacher_among_the_distillers_weights_and_an_unbuilt_student(flavour: str) -> None:
    own = package(flavour)
    with pytest.raises(tg.UsageError, match="has no weights yet"):
        tg.Distiller(own.Sequential([own.layers.Dense(3)]), net(16))
    teacher = net(16, flavour)
    distiller = compiled(tg.Distiller(net(4, flavour), teacher), flavour)
    distiller.teacher = teacher
    before = bits(teacher)
    for act in (lambda: distiller.fit(X, Y, verbose=0), lambda: compiled(distiller, flavour)):
        with pytest.raises(tg.UsageError, match="are among the distiller's own"):
            act()
    assert bits(teacher) == before


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_metrics_of_outputs_by_name(flavour: str) -> None:
    distiller = tg.Distiller(two_headed(flavour, 4), two_headed("keras3", 8))
    losses = {"class": crossentropy(flavour), "value": "mse"}
    named = {"class": "accuracy", "value": "mae"}
    compiled(distiller, flavour, loss=losses, metrics=named)
    y = {"class": Y, "value": X[:, :2]}
    found = distiller.evaluate(X, y, batch_size=64, verbose=0, return_dict=True)
    classes, values = (np.asarray(part) for part in distiller.student(X, training=False))
    assert found["class_accuracy"] == pytest.approx((classes.argmax(-1) == Y).mean())
    assert found["value_mae"] == pytest.approx(np.abs(values - X[:, :2]).mean(), rel=1e-5)
    single = tg.Distiller(net(4, flavour), net(16))
    compiled(single, flavour, metrics={"head": "accuracy"})
    history = single.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert {"accuracy", "val_accuracy"} <= history.keys()


def test_probabilities_that_are_said_to_be_logits() -> None:
    inputs = keras.Input((8,))
    logits = keras.layers.Dense(3)(inputs)
    hidden = keras.layers.Lambda(lambda x: keras.ops.softmax(x), name="last")(logits)
    teacher = keras.Model(inputs, hidden)
    with pytest.raises(tg.UsageError, match="last layer does not tell. Give teacher_outputs"):
        compiled(tg.Distiller(net(4), teacher), "keras3")
    with pytest.raises(tg.UsageError, match="said to be logits.* add up to 1"):
        compiled(tg.Distiller(net(4), teacher, teacher_outputs="logits"), "keras3")
    distiller = compiled(tg.Distiller(net(4), teacher, teacher_outputs="probabilities"), "keras3")
    found = distiller.evaluate(X, Y, batch_size=64, verbose=0, return_dict=True)
    expected = divergence(np.log(said(teacher)), said(net(4))).mean()
    assert found["distillation_loss"] == pytest.approx(expected, rel=1e-5)


def test_models_without_a_graph_are_judged_by_the_first_samples() -> None:
    class Subclassed(keras.Model):
        def __init__(self, classes: int = 3) -> None:
            super().__init__()
            self.head = keras.layers.Dense(classes, activation="softmax")

        def build(self, shape: Any) -> None:
            self.head.build(shape)

        def call(self, x: Any, training: Any = None) -> Any:
            return self.head(x)

    def made(student: Any, classes: int = 3, **options: Any) -> Any:
        teacher = Subclassed(classes)
        teacher(X)
        return compiled(tg.Distiller(student, teacher, **options), "keras3")

    student = Subclassed()
    student(X)
    with pytest.raises(tg.UsageError, match="last layer does not tell. Give student_outputs"):
        made(student)
    with pytest.raises(tg.UsageError, match="outputs of the student are said to be logits"):
        made(student, student_outputs="logits", teacher_outputs="probabilities").fit(X, Y)
    with pytest.raises(tg.UsageError, match="outputs of the teacher are said to be logits"):
        made(net(4), teacher_outputs="logits").fit(X, Y)
    with pytest.raises(tg.UsageError, match="gives 4 values and the student 3"):
        made(net(4), classes=4, teacher_outputs="probabilities").fit(X, Y)
    made(net(4), teacher_outputs="probabilities").fit(X, Y, verbose=0)


def test_a_softmax_in_a_layer_of_its_own_is_looked_behind() -> None:
    inputs = keras.Input((8,))
    logits = keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(0, 60))(
        inputs
    )
    student = keras.Model(inputs, keras.layers.Softmax()(logits))
    teacher = net(16)
    distiller = tg.Distiller(student, teacher, alpha=0)
    compiled(distiller, "keras3", loss=None, metrics=None)
    found = distiller.evaluate(X, batch_size=64, verbose=0, return_dict=True)
    behind = np.float64(X) @ np.float64(student.layers[1].get_weights()[0])
    assert softmax(behind).min() < 1e-30
    expected = divergence(said(teacher), behind).mean()
    assert found["distillation_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_teacher_that_changes_when_it_is_asked() -> None:
    class Counting(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x: Any) -> Any:
            self.count.assign_add(1.0)
            return x

    inputs = keras.Input((8,))
    teacher = keras.Model(inputs, keras.layers.Dense(3)(Counting()(inputs)))
    distiller = compiled(tg.Distiller(net(4), teacher), "keras3")
    with pytest.raises(tg.InvalidModelError, match="teacher is not what it was before training"):
        distiller.fit(X, Y, verbose=0)
