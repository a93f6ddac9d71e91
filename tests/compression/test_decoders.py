"""Decoder language models in training: their kernels pruned, their tokens distilled one by one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import tfgreen as tg
from tests.compression.distillation_models import divergence, label_losses
from tfgreen.generative.network import build_decoder
from tfgreen.models.bridge import to_keras2

VOCABULARY, CONTEXT, BATCH = 29, 12, 8
X = np.random.default_rng(0).integers(0, VOCABULARY, (BATCH, CONTEXT)).astype(np.int32)
Y = np.roll(X, -1, axis=1)
GPT: dict[str, Any] = {}
LLAMA: dict[str, Any] = {
    "positions": "rotary", "norm": "rms", "gated": True, "activation": "silu", "kv_heads": 2,
    "tied": False,
}  # fmt: skip


def decoder(width: int = 32, seed: int = 0, **options: Any) -> Any:
    keras.utils.set_random_seed(seed)
    model = build_decoder(VOCABULARY, CONTEXT, width=width, layers=1, heads=4, **options)
    for weight in model.weights:  # as if trained: sharper than the start
        weight.assign(weight * 3)
    return model


def crossentropy(**options: Any) -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, **options)


@pytest.mark.parametrize("options", [GPT, LLAMA], ids=["gpt", "llama"])
def test_the_twin_of_a_decoder_computes_the_same(options: dict[str, Any]) -> None:
    model = decoder(**options)
    np.testing.assert_allclose(to_keras2(model)(X), model(X), atol=1e-5)


def test_embedding_attention_and_feed_forward_kernels_are_pruned() -> None:
    model = decoder(**LLAMA)
    model.compile("adam", crossentropy())
    pruning = tg.Pruning(sparsity=0.5, end=0.5)
    wrapped = pruning.prepare(model)
    np.testing.assert_allclose(wrapped(X), model(X), atol=1e-5)
    wrapped.fit(X, Y, epochs=4, batch_size=BATCH, verbose=0)
    sparse = pruning.finalize(wrapped)
    kinds = {one.kind for one in pruning.report(wrapped).with_action("pruned")}
    assert kinds == {"TokenEmbedding", "CausalSelfAttention", "Dense"}
    matrices = [w for w in sparse.weights if len(w.shape) > 1]
    assert len(matrices) == 1 + 4 + 3 + 1  # table, attention, gated feed-forward, head
    assert all(np.mean(w.numpy() == 0) == pytest.approx(0.5, abs=0.01) for w in matrices)
    np.testing.assert_allclose(sparse(X), wrapped(X, training=False), atol=1e-5)


def test_each_token_is_distilled_with_its_own_weight() -> None:
    student, teacher = decoder(16, seed=1), decoder(32)
    distiller = tg.Distiller(student, teacher, alpha=0.3, temperature=2.0)
    distiller.compile("adam", crossentropy())
    weights = np.random.default_rng(1).uniform(0, 2, X.shape).astype(np.float32)
    weights[:, -3:] = 0  # padding
    found = distiller.evaluate(X, Y, sample_weight=weights, verbose=0, return_dict=True)
    ours, theirs = np.asarray(student(X)), np.asarray(teacher(X))
    taught = float((divergence(theirs, ours) * weights).sum() / X.size)
    labelled = float((label_losses(Y, ours) * weights).sum() / X.size)
    assert found["distillation_loss"] == pytest.approx(taught, rel=1e-5)
    assert found["student_loss"] == pytest.approx(labelled, rel=1e-5)
    assert found["loss"] == pytest.approx(0.3 * labelled + 0.7 * taught, rel=1e-5)


def test_padding_by_an_ignored_class_is_not_distilled() -> None:
    student, teacher = decoder(16, seed=1), decoder(32)
    distiller = tg.Distiller(student, teacher, alpha=0.0)
    distiller.compile("adam", crossentropy(ignore_class=-1))
    labels = Y.copy()
    labels[:, -5:] = -1
    found = distiller.evaluate(X, labels, verbose=0, return_dict=True)
    ours, theirs = np.asarray(student(X)), np.asarray(teacher(X))
    assert found["distillation_loss"] == pytest.approx(
        divergence(theirs, ours)[:, :-5].mean(), rel=1e-5
    )


def test_a_teacher_of_another_vocabulary_is_refused() -> None:
    other = build_decoder(VOCABULARY + 1, CONTEXT, width=32, layers=1)
    with pytest.raises(tg.UsageError, match="30 values and the student 29"):
        tg.Distiller(decoder(16), other)
