"""Static int8 of a small encoder, with the safe mask and with the usual constant.

    python -m benchmarks.encoder_table [--seeds 3]

For each seed an encoder of two layers learns whether the first token of a sequence occurs again in
it, which only attention finds out; sequences of 6 to 16 tokens are padded to 16. It is exported as
`mobile-int8` twice: as it is, and with -1e9 for masked scores, which changes nothing in float.
2,000 other sequences are judged by LiteRT. Perplexity is that of the right answers.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from tfgreen.errors import GateError
from tfgreen.generative.perplexity import perplexity_change, token_losses
from tfgreen.wording import share_text

VOCABULARY, LENGTH = 25, 16


def sequences(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens (count, LENGTH), 0 for padding, and labels: does the first token occur again?"""
    random = np.random.default_rng(seed)
    tokens, labels = np.zeros((count, LENGTH), np.int32), random.integers(0, 2, count)
    for row, label in zip(tokens, labels, strict=True):
        length = random.integers(6, LENGTH + 1)
        row[:length] = random.permutation(np.arange(1, VOCABULARY))[:length]
        if label:
            row[random.integers(1, length)] = row[0]
    return tokens, labels


def encoder(mask_value: float = -30.0) -> Any:
    from tfgreen import build_encoder

    return build_encoder(
        VOCABULARY, LENGTH, classes=2, padding=0, width=32, layers=2, mask_value=mask_value
    )


def trained(seed: int) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    model = encoder()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(*sequences(6000, seed), batch_size=64, epochs=6, verbose=0)
    return model


def scores_of(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """What LiteRT's default kernels answer, dequantized."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    given, told = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = told["quantization"]
    found = []
    for row in inputs:
        interpreter.set_tensor(given["index"], row[None])
        interpreter.invoke()
        found.append((interpreter.get_tensor(told["index"])[0].astype(np.float32) - zero) * scale)
    return np.stack(found)


def exported(model: Any, seed: int) -> tuple[bytes, str]:
    """The file, failed or not, and the verdict."""
    from tfgreen import export

    calibration, evaluation = sequences(200, 1000 + seed)[0], sequences(200, 2000 + seed)
    try:
        bundle = export(model, calibration, profile="mobile-int8", evaluate=evaluation)
    except GateError as error:
        return error.bundle.content, "failed"
    return bundle.content, "passed"


def print_rows(seed: int) -> None:
    model = trained(seed)
    tokens, labels = sequences(2000, 3000 + seed)
    told = np.asarray(model.predict(tokens, verbose=0))
    for mask_value in (-30.0, -1e9):
        other = encoder(mask_value)
        other.set_weights(model.get_weights())
        content, verdict = exported(other, seed)
        scores = scores_of(content, tokens)
        losses = [token_losses(one, labels)[:, None] for one in (told, scores)]
        change = perplexity_change(*losses)
        accuracies = [
            share_text(float((one.argmax(axis=-1) == labels).mean()), 2) for one in (told, scores)
        ]
        low, high = (share_text(one, 2, signed=True) for one in (change.low, change.high))
        print(
            f"| {seed} | {mask_value:g} | {' | '.join(accuracies)} "
            f"| {change.float_model:.4f} | {change.file:.4f} "
            f"| {low} to {high} | {len(content):,} | {verdict} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print(
        "| seed | mask | accuracy, float | int8 | perplexity, float | int8 "
        "| change, 95 % | bytes | gates |"
    )
    print("|--:|--:|--:|--:|--:|--:|--:|--:|---|")
    for seed in range(given.seeds):
        print_rows(seed)


if __name__ == "__main__":
    main()
