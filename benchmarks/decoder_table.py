"""Perplexity, bytes and speed of every way to store a small language model.

    python -m benchmarks.decoder_table [--seeds 3] [--steps 600] [--folder build/decoders]

For each seed a character model is trained on the standard library's docstrings (kept in the
folder, so that a second run trains nothing), exported by every scheme, and judged on held-back
docstrings. Speed is measured in one interleaved run of one thread, in CPU time, which a busy
machine leaves alone: in each of several rounds every file has its turn, in another order.
`uncached` recomputes the whole window of 128 for each token. Peak memory is that of a process that
runs the bundle's own run.py, which needs LiteRT and NumPy alone; what an idle one takes is told
below the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tfgreen.demonstration.docstring_texts import CHARACTERS, docstring_texts
from tfgreen.demonstration.language_model import train_character_model
from tfgreen.generative.decoder_bundle import DecoderBundle
from tfgreen.generative.export import make_decoder_bundle
from tfgreen.generative.requests import DecoderOptions
from tfgreen.generative.schemes import SCHEMES, Scheme
from tfgreen.generative.session import Session
from tfgreen.generative.tokenizers import CharacterTokenizer

ROUNDS, DECODED, SCORED, PROMPT = 15, 48, 6, 64
Variant = tuple[Scheme, str]
VARIANTS: tuple[Variant, ...] = (
    *((scheme, "compensated") for scheme in SCHEMES),
    ("int4", "nearest"),
    ("int4-block32", "nearest"),
    ("dynamic-int8", "state"),
    ("int4-block32", "state"),
)
NAMES = {"compensated": "", "nearest": " (to nearest)", "state": " (cache in the file)"}


def bundles_of(seed: int, steps: int, folder: Path) -> dict[Variant, DecoderBundle]:
    """Train or find the model of a seed, and export or find each variant."""
    training, held_back = docstring_texts()
    tokenizer = CharacterTokenizer(CHARACTERS)
    path = folder / f"seed-{seed}.keras"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        train_character_model(training, tokenizer, steps=steps, seed=seed).save(path)
    found = {}
    for scheme, how in VARIANTS:
        place = folder / f"seed-{seed}-{scheme}-{how}"
        if not place.exists():
            options = DecoderOptions(
                scheme, compensates=how != "nearest", keeps_state=how == "state"
            )
            made = make_decoder_bundle(path, tokenizer, held_back, training, options)
            made.save(place)
        found[scheme, how] = DecoderBundle.read(place)
    return found


def seconds_of(sessions: dict[Variant, Session]) -> dict[Variant, dict[str, float]]:
    """Median CPU seconds of one token with the cache and without, and to the first token."""
    prompt = np.random.default_rng(0).integers(0, len(CHARACTERS), PROMPT).tolist()
    taken: dict[Variant, list[tuple[float, float, float]]] = {one: [] for one in sessions}
    random, files = np.random.default_rng(0), list(sessions.items())
    for _ in range(ROUNDS):
        for place in random.permutation(len(files)):
            variant, session = files[place]
            session.reset()
            began = time.process_time()
            session.prefill(prompt[:-1])
            session.decode(prompt[-1])
            first = time.process_time() - began
            began = time.process_time()
            for token in prompt[:DECODED]:
                session.decode(token)
            cached = (time.process_time() - began) / DECODED
            began = time.process_time()
            for _ in range(SCORED):
                session.score(prompt)
            taken[variant].append((cached, (time.process_time() - began) / SCORED, first))
    return {
        variant: dict(
            zip(("cached", "uncached", "first"), np.median(rows, axis=0).tolist(), strict=True)
        )
        for variant, rows in taken.items()
    }


_MEASURED = """
import runpy, sys
import numpy
from ai_edge_litert.interpreter import Interpreter
from tfgreen.benchmarking.runner import peak_bytes, reset_peak
reset_peak()
del sys.argv[0]  # what is left is as if the program had been called itself
if sys.argv:
    runpy.run_path(sys.argv[0])
print(peak_bytes())
"""


def peak_megabytes(folder: Path | None) -> float:
    """Peak resident memory of a process that writes 64 characters; with None, of an idle one."""
    rest = [] if folder is None else [str(folder / "run.py"), "Return the ", "64"]
    done = subprocess.run([sys.executable, "-c", _MEASURED, *rest], check=True, capture_output=True)
    return int(done.stdout.split()[-1]) / 2**20


def table(
    runs: list[dict[Variant, DecoderBundle]],
    speed: dict[Variant, dict[str, float]],
    peaks: dict[Variant, float],
) -> str:
    lines = [
        "| weights | bytes | of float32 | perplexity | against float | worst of 95 % | tokens/s "
        "| cached / uncached | first token | peak memory |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    float_bytes = len(runs[0]["float32", "compensated"].content)
    for variant in VARIANTS:
        facts = [run[variant].certificate.perplexity for run in runs]
        name = variant[0] + NAMES[variant[1]]
        size, times = len(runs[0][variant].content), speed[variant]
        lines.append(
            f"| {name} | {size:,} | {size / float_bytes:.3f} "
            f"| {np.mean([one.file for one in facts]):.4f} "
            f"| {np.mean([one.change for one in facts]):+.2%} "
            f"| {max(one.high for one in facts):+.2%} "
            f"| {1 / times['cached']:,.0f} | {times['uncached'] / times['cached']:.1f}x "
            f"| {1000 * times['first']:.2f} ms | {peaks[variant]:.1f} MB |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--folder", type=Path, default=Path("build/decoders"))
    given = parser.parse_args()
    runs = [bundles_of(seed, given.steps, given.folder) for seed in range(given.seeds)]
    sessions = {variant: Session(bundle.content) for variant, bundle in runs[0].items()}
    speed = seconds_of(sessions)
    peaks = {
        (scheme, how): peak_megabytes(given.folder / f"seed-0-{scheme}-{how}")
        for scheme, how in VARIANTS
    }
    print(table(runs, speed, peaks))
    print(f"\nA process that has only loaded LiteRT and NumPy: {peak_megabytes(None):.1f} MB.")
    record = {"/".join(variant): times for variant, times in speed.items()}
    (given.folder / "speed.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
