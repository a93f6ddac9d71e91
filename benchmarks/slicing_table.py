"""Dense, sliced and distilled language models: perplexity and speed of the exported files.

    python -m benchmarks.slicing_table [--seeds N] [--steps N] [--turns N]

A character model (4 layers, width 160, context 128) is trained on the docstrings of Python's
standard library. Half of its heads and 55 % of its neurons are removed by importance on training
text, and what is left is fine-tuned for half as many steps; the dense model is trained on for as
many. Beside them, a decoder of as few parameters is trained from scratch for as many steps as the
fine-tuning has, once alone and once with the dense model as its teacher. Every variant is exported
with a cache, in float32 and with dynamic int8 weights. Perplexity is that of the file on
docstrings that were held back; its changes have 95 % intervals (paired bootstrap over the windows
of all seeds). Speed is that of greedy decoding steps on one thread, in CPU time: in each turn every
file takes its turn, and a ratio is that of two files in the same turn. Trained models are kept in
benchmarks/.cache, and a run that was stopped goes on there.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.update(
    CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1",
    TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1",
)  # fmt: skip

import numpy as np

from benchmarks.keyword_trials import print_table
from tfgreen.demonstration.docstring_texts import CHARACTERS, docstring_texts
from tfgreen.generative.perplexity import (
    PerplexityChange,
    perplexity_change,
    text_windows,
    token_losses,
)
from tfgreen.generative.session import Session
from tfgreen.generative.tokenizers import CharacterTokenizer

CACHE = Path(__file__).parent / ".cache" / "slicing"
CONTEXT, BATCH = 128, 16
DENSE_SHAPE: dict[str, Any] = {"width": 160, "layers": 4, "heads": 4}
SMALL_SHAPE: dict[str, Any] = {"width": 112, "layers": 4, "heads": 4}
# What is removed. With the embedding, which stays, half of the parameters are left.
SHARES: dict[str, Any] = {"heads": 0.5, "neurons": 0.55}
DENSE = "dense, trained on"
SCHEMES = ("float32", "dynamic-int8")
SCORING_WINDOWS, EVALUATION_WINDOWS = 32, 64
PROMPT, DECODED = 16, 100
_PEAK_LEARNING_RATE = 2e-3
HEADER = (
    "variant",
    "scheme",
    "parameters",
    "bytes",
    "perplexity",
    "against dense trained on, %",
    "tokens a second",
    "times the dense",
    "first token, ms",
)


@dataclass(frozen=True)
class Text:
    """Tokens to train on and windows to judge by, (n, context + 1)."""

    training: np.ndarray
    evaluation: np.ndarray

    def windows(self, count: int, seed: int) -> np.ndarray:
        """Windows of training text at random places, (count, context + 1)."""
        random = np.random.default_rng(seed)
        places = random.integers(0, len(self.training) - CONTEXT - 1, count)
        return self.training[places[:, None] + np.arange(CONTEXT + 1)]


@dataclass(frozen=True)
class File:
    """One exported decoder and the losses (windows, context) of its answers."""

    variant: str
    scheme: str
    parameters: int
    content: bytes
    losses: np.ndarray


def read_text() -> Text:
    """The docstrings of the standard library as characters."""
    tokenizer = CharacterTokenizer(CHARACTERS)
    training, held_back = (np.array(tokenizer.encode(text), np.int32) for text in docstring_texts())
    return Text(training, text_windows(held_back, CONTEXT, EVALUATION_WINDOWS))


def trained(model: Any, text: Text, steps: int, seed: int, teacher: Any = None) -> Any:
    """Fit for a number of steps, with a learning rate that rises and falls as a cosine."""
    import keras

    import tfgreen as tg

    learner = model
    if teacher is not None:
        learner = tg.Distiller(model, teacher, alpha=0.5, temperature=1.0)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=_PEAK_LEARNING_RATE, warmup_steps=steps // 10
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    learner.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), loss)
    windows = text.windows(steps * BATCH, seed)
    learner.fit(windows[:, :-1], windows[:, 1:], batch_size=BATCH, verbose=0)
    return model


def kept(name: str, seed: int, make: Callable[[], Any]) -> Any:
    """The trained model of the cache, made where it is missing."""
    import tfgreen as tg

    path = CACHE / f"{name}-{seed}.keras"
    if not path.exists():
        start = time.perf_counter()
        CACHE.mkdir(parents=True, exist_ok=True)
        model = make()
        model.save(path.with_suffix(".part.keras"))
        path.with_suffix(".part.keras").rename(path)
        print(f"{name}, seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    return tg.load_model(path)


def variants(text: Text, steps: int, seed: int) -> dict[str, Any]:
    """The trained models of one seed."""
    import keras

    import tfgreen as tg
    from tfgreen.compression.copies import copy_of
    from tfgreen.generative.network import build_decoder

    def fresh(shape: dict[str, Any]) -> Any:
        keras.utils.set_random_seed(seed)
        return build_decoder(len(CHARACTERS), CONTEXT, **shape)

    def sliced() -> Any:
        scoring = text.windows(SCORING_WINDOWS, seed + 100)
        return tg.slice_decoder(dense, scoring, **SHARES).model

    key = f"{steps}-steps"
    half = steps // 2
    shares = "-".join(map(str, SHARES.values()))
    dense = kept(f"dense-{key}", seed, lambda: trained(fresh(DENSE_SHAPE), text, steps, seed))
    return {
        "dense": dense,
        DENSE: kept(
            f"trained-on-{key}", seed, lambda: trained(copy_of(dense), text, half, seed + 1)
        ),
        "sliced": kept(f"sliced-{shares}-{key}", seed, sliced),
        "sliced, fine-tuned": kept(
            f"tuned-{shares}-{key}", seed, lambda: trained(sliced(), text, half, seed + 1)
        ),
        "small, alone": kept(
            f"alone-{key}", seed, lambda: trained(fresh(SMALL_SHAPE), text, half, seed + 1)
        ),
        "small, distilled": kept(
            f"distilled-{key}",
            seed,
            lambda: trained(fresh(SMALL_SHAPE), text, half, seed + 1, teacher=dense),
        ),
    }


def exported(variant: str, model: Any, windows: np.ndarray) -> list[File]:
    """The model's files, and what they answer on text that was held back."""
    from tfgreen.generative.network.exporting import float_file
    from tfgreen.generative.network.stepping import decoder_facts
    from tfgreen.generative.schemes import known_scheme, quantized

    request = {
        "context": CONTEXT,
        "prefill_lengths": [PROMPT],
        "keeps_state": True,
        "model_name": variant,
    }
    with tempfile.TemporaryDirectory() as folder:
        content = float_file(model, decoder_facts(model), request, Path(folder))
    files = []
    for scheme in SCHEMES:
        stored = quantized(content, known_scheme(scheme))
        session = Session(stored)
        losses = [token_losses(session.score(one[:-1]), one[1:]) for one in windows]
        files.append(File(variant, scheme, model.count_params(), stored, np.stack(losses)))
    return files


def decoding_seconds(session: Session, prompt: list[int]) -> tuple[float, float]:
    """CPU seconds to the first token, and of each token after it."""
    session.reset()
    start = time.process_time()
    session.prefill(prompt[:-1])
    token = int(session.decode(prompt[-1]).argmax())
    first = time.process_time()
    for _ in range(DECODED):
        token = int(session.decode(token).argmax())
    return first - start, (time.process_time() - first) / DECODED


def timed(files: list[File], prompt: list[int], turns: int) -> np.ndarray:
    """Seconds (turns, files, 2): to the first token, and of each after it.

    Each turn has an order of its own: a file is timed otherwise after one that filled the caches.
    """
    sessions = [Session(one.content) for one in files]
    for session in sessions:
        decoding_seconds(session, prompt)
    random, seconds = np.random.default_rng(0), np.empty((turns, len(files), 2))
    for turn in seconds:
        for place in random.permutation(len(files)):
            turn[place] = decoding_seconds(sessions[place], prompt)
    return seconds


def row(files: list[File], dense: list[File], seconds: np.ndarray, dense_seconds: Any) -> list[str]:
    """One line of the table, of a variant's files in one scheme, seed by seed.

    seconds, dense_seconds: (turns, 2) of both, taken in the same turns.
    """
    change = perplexity_change(
        np.concatenate([one.losses for one in dense]),
        np.concatenate([one.losses for one in files]),
    )
    first, each = np.median(seconds, axis=0)
    ratios = dense_seconds[:, 1] / seconds[:, 1]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    perplexities = [np.exp(one.losses.mean()) for one in files]
    return [
        files[0].variant,
        files[0].scheme,
        f"{files[0].parameters:,}",
        f"{len(files[0].content):,}",
        f"{np.mean(perplexities):.3f} ({min(perplexities):.3f}-{max(perplexities):.3f})",
        "" if files is dense else change_text(change),
        f"{1 / each:,.0f}",
        f"{middle:.2f} ({low:.2f}-{high:.2f})",
        f"{1e3 * first:.2f}",
    ]


def change_text(change: PerplexityChange) -> str:
    """In percent, with its interval."""
    return f"{100 * change.change:+.2f} ({100 * change.low:+.2f} to {100 * change.high:+.2f})"


def main() -> None:
    """Train what is missing, export, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=320)
    parser.add_argument("--turns", type=int, default=40)
    given = parser.parse_args()
    text = read_text()
    by_kind: dict[tuple[str, str], list[File]] = {}
    for seed in range(given.seeds):
        for name, model in variants(text, given.steps, seed).items():
            for one in exported(name, model, text.evaluation):
                by_kind.setdefault((name, one.scheme), []).append(one)
    kinds = list(by_kind)
    # Speed depends on shapes alone: the files of the first seed stand for all.
    prompt = text.evaluation[0, :PROMPT].tolist()
    seconds = timed([by_kind[kind][0] for kind in kinds], prompt, given.turns)
    rows = [
        row(
            by_kind[kind],
            by_kind[DENSE, SCHEMES[0]],
            seconds[:, place],
            seconds[:, kinds.index((DENSE, kind[1]))],
        )
        for place, kind in enumerate(kinds)
    ]
    print_table(HEADER, rows)
    for scheme in SCHEMES:
        change = perplexity_change(
            *(
                np.concatenate([one.losses for one in by_kind[name, scheme]])
                for name in ("small, alone", "small, distilled")
            )
        )
        print(f"\n{scheme}: distilled against alone: {change_text(change)} %")


if __name__ == "__main__":
    main()
