"""A small language model from nothing but Python: its docstrings, some minutes, a file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfgreen.demonstration.docstring_texts import CHARACTERS, docstring_texts
from tfgreen.generative.decoder_bundle import DecoderBundle, check_folder
from tfgreen.generative.export import make_decoder_bundle
from tfgreen.generative.generation import generate
from tfgreen.generative.requests import DecoderOptions
from tfgreen.generative.tokenizers import CharacterTokenizer

OnProgress = Callable[[str, int, int], None]

CONTEXT = 128
PROMPT = "Return the "
_BATCH = 32
_PARTS = 10


@dataclass(frozen=True)
class LanguageModelResult:
    """What the demonstration made and measured.

    Attributes:
        bundle: the exported decoder; `folder` is where it was written.
        parameters: weights of the model. characters: of text that it was trained on.
        text: what the file wrote after the prompt.
        tokens_per_second: of the file while it wrote.
        training_seconds, total_seconds: wall time.
    """

    bundle: DecoderBundle
    folder: Path
    parameters: int
    characters: int
    text: str
    tokens_per_second: float
    training_seconds: float
    total_seconds: float


def run_language_model_demo(
    output: str | Path,
    *,
    options: DecoderOptions | None = None,
    steps: int = 600,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> LanguageModelResult:
    """Train a character model on the standard library's docstrings and export it.

    Takes some minutes on two cores, nearly all of it training. TensorFlow is loaded in this
    process, and the random seeds are set. By default weights get 4 bits, in blocks of 32.

    Raises OutputExistsError, before any work, if `output` exists and `force` is not set.
    """
    began = time.perf_counter()
    tell = on_progress or (lambda step, done, of: None)
    check_folder(Path(output), force=force)
    training, held_back = docstring_texts()
    tokenizer = CharacterTokenizer(CHARACTERS)
    chosen = options or DecoderOptions(scheme="int4-block32")
    with tempfile.TemporaryDirectory(prefix="tfgreen-demo-") as name:
        tell("training (loading TensorFlow)", 0, 0)
        model = train_character_model(training, tokenizer, steps=steps, on_progress=tell)
        trained = time.perf_counter() - began
        path = Path(name) / "docstrings.keras"
        model.save(path)
        bundle = make_decoder_bundle(path, tokenizer, held_back, training, chosen, on_progress)
    folder = bundle.save(output, force=force)
    made = generate(bundle, PROMPT).finish()
    return LanguageModelResult(
        bundle=bundle,
        folder=folder,
        parameters=int(model.count_params()),
        characters=len(training),
        text=made.text,
        tokens_per_second=made.tokens_per_second or 0.0,
        training_seconds=trained,
        total_seconds=time.perf_counter() - began,
    )


def train_character_model(
    text: str,
    tokenizer: CharacterTokenizer,
    *,
    steps: int = 600,
    seed: int = 0,
    on_progress: OnProgress | None = None,
    **shape: Any,
) -> Any:
    """A decoder of 1.3 million parameters, or of another `shape` (see `build_decoder`), trained.

    steps: batches of 32 windows of 128 characters. Sets the seeds of Python, NumPy and Keras.
    """
    import keras

    from tfgreen.generative.network import build_decoder

    keras.utils.set_random_seed(seed)
    model = build_decoder(tokenizer.vocabulary, CONTEXT, **shape)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, steps, alpha=0.02, warmup_target=3e-3, warmup_steps=max(steps // 12, 1)
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    tell = on_progress or (lambda step, done, of: None)
    batches = _batches(np.array(tokenizer.encode(text), np.int32), seed)
    each = max(steps // _PARTS, 1)
    for part in range(0, steps, each):
        count = min(each, steps - part)
        history = model.fit(batches, steps_per_epoch=count, shuffle=False, verbose=0)
        loss = history.history["loss"][-1]
        tell(f"training, perplexity {np.exp(loss):.2f}", min(part + each, steps), steps)
    return model


def _batches(tokens: np.ndarray, seed: int) -> Any:
    random = np.random.default_rng(seed)
    while True:
        starts = random.integers(0, len(tokens) - CONTEXT - 1, _BATCH)
        windows = tokens[starts[:, None] + np.arange(CONTEXT + 1)]
        yield windows[:, :-1], windows[:, 1:]
