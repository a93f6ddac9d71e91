"""The cache of lessons: asked once, right for every sample, and refused where it cannot be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgreen as tg
from tests.compression.distillation_models import FLAVOURS, crossentropy, net, package
from tests.compression.models import data
from tfgreen.compression.distillation.teacher_cache import digests_of, sha256_of_samples

X, Y = data()


def distiller_with(folder: Any, teacher: Any, flavour: str = "keras3", **options: Any) -> Any:
    distiller = tg.Distiller(net(4, flavour), teacher, cache=folder, **options)
    distiller.compile(
        package(flavour).optimizers.SGD(0.01), crossentropy(flavour), metrics=["accuracy"]
    )
    return distiller


def batches(*parts: Any, size: int = 16) -> Any:
    return tf.data.Dataset.from_tensor_slices(parts).batch(size)


def figures(distiller: Any) -> dict[str, float]:
    return dict(vars(distiller)["_bench"].seconds)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("kind", ["arrays", "dataset", "shuffled"])
def test_training_is_the_same_with_and_without(tmp_path: Path, flavour: str, kind: str) -> None:
    teacher = net(16)
    results = []
    for folder in (None, tmp_path):
        distiller = distiller_with(folder, teacher, flavour, features={"norm": "norm"})
        package(flavour).utils.set_random_seed(3)
        options: dict[str, Any] = {"epochs": 3, "shuffle": False, "verbose": 0}
        if kind == "arrays":
            options |= {"validation_data": (X[:20], Y[:20]), "batch_size": 16}
            history = distiller.fit(X, Y, **options)
        else:
            samples = batches(X, Y)
            if kind == "shuffled":
                whole = tf.data.Dataset.from_tensor_slices((X, Y))
                samples = whole.shuffle(64, 1, reshuffle_each_iteration=False).batch(16)
            history = distiller.fit(samples, validation_data=batches(X, Y), **options)
        results.append(history.history)
    for name, values in results[0].items():
        assert results[1][name] == pytest.approx(values, rel=2e-3, abs=2e-3)
    assert figures(distiller)["asked"] > 0
    assert figures(distiller)["saved"] >= 1.99 * figures(distiller)["asked"]


def test_the_teacher_is_asked_once_about_each_sample(tmp_path: Path) -> None:
    asked = []

    class Noting(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            tf.py_function(lambda part: asked.append(len(part)), [x], [])
            return x

    inputs = keras.Input((8,))
    teacher = keras.Model(inputs, keras.layers.Dense(3)(Noting()(inputs)))
    distiller = distiller_with(tmp_path, teacher)
    asked.clear()
    distiller.fit(X, Y, epochs=3, verbose=0)
    assert sum(asked) == 2 * len(X)  # once to make the graph, untimed
    distiller.fit(X[::-1], Y[::-1], epochs=2, verbose=0)
    assert sum(asked) == 2 * len(X)
    assert len(list(tmp_path.iterdir())) == 1
    assert figures(distiller)["saved"] == pytest.approx(4 * figures(distiller)["asked"])


def test_other_data_and_another_teacher_are_other_entries(tmp_path: Path) -> None:
    teacher = net(16)
    distiller = distiller_with(tmp_path, teacher)
    distiller.fit(X, Y, verbose=0)
    distiller.fit(X[:40], Y[:40], verbose=0)
    assert len(list(tmp_path.iterdir())) == 2
    teacher.layers[0].kernel.assign(teacher.layers[0].kernel + 1e-6)
    distiller.fit(X, Y, verbose=0)
    assert len(list(tmp_path.iterdir())) == 3
    distiller_with(tmp_path, teacher).fit(X, Y, verbose=0)
    assert len(list(tmp_path.iterdir())) == 3


def test_an_entry_of_other_data_is_refused(tmp_path: Path) -> None:
    teacher = net(16)
    distiller_with(tmp_path, teacher).fit(X, Y, verbose=0)
    (entry,) = tmp_path.iterdir()
    distiller_with(entry, teacher).fit(X, Y, verbose=0)
    with pytest.raises(tg.IntegrityError, match="belongs to another dataset"):
        distiller_with(entry, teacher).fit(X[:32], Y[:32], verbose=0)
    with pytest.raises(tg.IntegrityError, match="belongs to another teacher"):
        distiller_with(entry, net(16, seed=1)).fit(X, Y, verbose=0)


@pytest.mark.parametrize("name", ["lesson_0.npy", "samples.npy", "teacher_cache.json"])
def test_a_damaged_entry_is_refused(tmp_path: Path, name: str) -> None:
    teacher = net(16)
    distiller_with(tmp_path, teacher).fit(X, Y, verbose=0)
    (entry,) = tmp_path.iterdir()
    content = bytearray((entry / name).read_bytes())
    content[len(content) // 2] ^= 1 if name.endswith("npy") else 128
    (entry / name).write_bytes(bytes(content))
    with pytest.raises(tg.IntegrityError, match="is damaged"):
        distiller_with(tmp_path, teacher).fit(X, Y, verbose=0)
    shutil.rmtree(entry)
    distiller_with(tmp_path, teacher).fit(X, Y, verbose=0)


def test_augmented_data_are_refused(tmp_path: Path) -> None:
    samples = batches(X, Y)
    random = np.random.default_rng(0)

    def noisy(x: Any) -> Any:
        return (x + random.normal(size=x.shape)).astype("float32")

    def sometimes_turned(x: Any) -> Any:
        return np.where(random.uniform(size=(len(x), 1)) < 0.3, -x, x)

    for change in (noisy, sometimes_turned):
        changing = samples.map(
            lambda x, y, change=change: (tf.numpy_function(change, [x], tf.float32), y)
        )
        changing = changing.map(lambda x, y: (tf.ensure_shape(x, (None, 8)), y))
        with pytest.raises(tg.UsageError, match="augmentation makes them.* nothing is cached"):
            distiller_with(tmp_path, net(16)).fit(changing, shuffle=False, verbose=0)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_cached(tmp_path: Path) -> None:
    distiller = distiller_with(tmp_path, net(16))
    with pytest.raises(tg.UsageError, match="dataset without an end"):
        distiller.fit(batches(X, Y).repeat(), steps_per_epoch=2, shuffle=False, verbose=0)
    with pytest.raises(tg.UsageError, match="data of the kind generator"):
        distiller.fit(((X, Y) for _ in range(2)), shuffle=False, verbose=0)
    with pytest.raises(tg.UsageError, match="moving average changes with every step"):
        tg.Distiller(net(4), tg.MovingAverage(), cache=tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(tg.UsageError, match="is a file and no folder"):
        tg.TeacherCache(tmp_path / "file")


def test_half_precision_where_it_is_enough(tmp_path: Path) -> None:
    cache = tg.TeacherCache(tmp_path)
    digests = digests_of([X])
    for array, dtype in ((X, "float16"), (X * 1e6, "float32")):
        entry = cache.write("a" * 64, "b" * 64, digests, [array], 1.0)
        assert entry.arrays[0].dtype == dtype
        read = cache.read("a" * 64, "b" * 64)
        assert read is not None and read.arrays[0].tobytes() == entry.arrays[0].tobytes()
        np.testing.assert_allclose(read.arrays[0], array, rtol=1e-3, atol=1e-3)


def test_digests() -> None:
    digests = digests_of([X, Y])
    assert len(set(digests)) == len(X)
    assert digests_of([X[::-1], Y[::-1]]) == digests[::-1]
    assert digests_of([X.astype("float64"), Y])[0] != digests[0]
    assert sha256_of_samples(digests) == sha256_of_samples(digests[::-1])
    assert sha256_of_samples(digests) != sha256_of_samples(digests[1:])


WRITER = """
import sys
import numpy as np
from tfgreen.compression.distillation.teacher_cache import TeacherCache, digests_of
x = np.arange(400_000, dtype="float32").reshape(4000, 100)
cache, digests = TeacherCache(sys.argv[1]), digests_of([x])
print("ready", flush=True)
for turn in range(1000):
    cache.write("a" * 64, "b" * 64, digests, [x + turn], float(turn))
"""


def test_a_kill_leaves_a_whole_entry_or_none(tmp_path: Path) -> None:
    for wait_seconds in (0.01, 0.05, 0.12, 0.2):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(wait_seconds)
            child.kill()
        entry = tg.TeacherCache(tmp_path).read("a" * 64, "b" * 64)
        if entry is not None:
            facts = json.loads((tmp_path / f"{'a' * 16}-{'b' * 16}/teacher_cache.json").read_text())
            assert entry.arrays[0][0, 0] == facts["teacher_seconds"]
