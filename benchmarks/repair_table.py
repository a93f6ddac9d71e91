"""What repair gives back: accuracy of exported files before and after, three seeds each.

    python -m benchmarks.repair_table                 # what is missing, then the table
    python -m benchmarks.repair_table mobilenet       # this network alone
    python -m benchmarks.repair_table --seeds 1

Each trial trains its network anew, plants the fault of benchmarks/repair_nets.py, exports, and
repairs as `tfgreen export --repair` does (the 4-bit rows: by learned rounding alone, whatever the
gate says), in a process of its own; its record is kept in
benchmarks/.cache/repair, so that a run that was stopped goes on where it was. Accuracy is that of
the exported file on 400 held-back samples with XNNPACK; they influence nothing.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.keyword_trials import print_table, run_child
from benchmarks.repair_nets import CALIBRATION, HELD_BACK, NETWORKS, Network

CACHE = Path(__file__).parent / ".cache" / "repair"
BATCH_SIZE = 32
HEADER = ("network", "float", "before", "after", "SQNR before", "SQNR after", "kept", "minutes")


def train(network: Network, seed: int) -> tuple[Any, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """The trained model, its inputs, its labels, and the order of the samples."""
    import keras

    keras.utils.set_random_seed(seed)
    task = network.task()
    ((name, inputs),) = task.inputs.items()
    ((_, labels),) = task.labels.items()
    order = np.random.default_rng(seed).permutation(len(inputs))
    rows = order[HELD_BACK:]
    model = network.build(keras)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    steps = network.epochs * -(-len(rows) // BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(network.peak_learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(inputs[rows], labels[rows], BATCH_SIZE, network.epochs, verbose=0)
    return model, {name: inputs}, labels, order


def run_trial(name: str, seed: int) -> None:
    """Train, plant, export, repair, judge, and keep the record."""
    from tfgreen.data import Samples
    from tfgreen.models.loading import save_for_worker
    from tfgreen.profile import load_profile
    from tfgreen.tflite import Treatment, convert, convert_float, treat
    from tfgreen.verification.repair import Order, repair_file
    from tfgreen.verification.repair.referee import Referee

    network = NETWORKS[name]
    model, inputs, labels, order = train(network, seed)
    held, used = order[:HELD_BACK], order[HELD_BACK:][:CALIBRATION]
    ((key, arrays),) = inputs.items()
    profile = load_profile(network.profile)
    profile = profile.model_copy(update={"weight_scales": network.weight_scales})
    with tempfile.TemporaryDirectory() as folder:
        place = save_for_worker(model, Path(folder) / "model")
        true = convert_float(place).content
        if network.plant is not None:
            true = network.plant(true, arrays[used][:, None], seed)
        planted = Path(folder) / "float.tflite"
        planted.write_bytes(true)
        made = convert(planted, profile, {key: arrays[used]})
    began = time.perf_counter()
    calibration = Samples({key: arrays[used]})
    content, kept, wide, steps = made.content, [], None, []
    if network.treatments:
        for kind in network.treatments:
            treatment = Treatment(kind)  # type: ignore[arg-type]
            content = treat(treatment, true, content, profile, calibration.inputs).content
            kept.append(kind)
    else:
        order_ = Order(content, made.float_content, profile, calibration, against=true)
        repaired = repair_file(order_)
        content, kept = repaired.content, [step.kind for step in repaired.record.applied]
        steps = [[s.kind, s.applied, s.said, s.gain] for s in repaired.record.steps]
        for step in repaired.record.applied:
            if step.kind == "widths":
                wide = [len(step.facts["wide_ops"]), step.facts["ops"]]
    minutes = (time.perf_counter() - began) / 60
    judge = Referee(true, profile, Samples({key: arrays[held]}))
    scores = [judge.score(file) for file in (made.content, content)]
    files = {"float": true, "before": made.content, "after": content}
    record = {
        "accuracy": {
            which: _accuracy(file, key, arrays[held], labels[held]) for which, file in files.items()
        },
        "sqnr_db": [score.sqnr_db for score in scores],
        "agreement": [score.agreement for score in scores],
        "passed": [score.passed for score in scores],
        "kept": kept,
        "wide": wide,
        "steps": steps,
        "minutes": minutes,
    }
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / f"{name}-{seed}.json").write_text(json.dumps(record), encoding="utf-8")


def _accuracy(content: bytes, key: str, inputs: np.ndarray, labels: np.ndarray) -> float:
    from tfgreen.data import Samples
    from tfgreen.flatbuffer import TfliteModel
    from tfgreen.runtimes import Task, quantize_inputs, run_tasks

    model = TfliteModel.from_bytes(content)
    task = Task("trial", content, quantize_inputs(model, Samples({key: inputs})))
    (outcome,) = run_tasks("xnnpack", [task], timeout_seconds=3600)
    if not outcome.ok:
        raise SystemExit(outcome.message)
    classes = outcome.outputs[0].reshape(len(labels), -1).argmax(-1)
    return float((classes == labels).mean())


def _line(name: str, seeds: int) -> list[str]:
    records = [json.loads((CACHE / f"{name}-{s}.json").read_text("utf-8")) for s in range(seeds)]

    def percent(which: str) -> str:
        values = [record["accuracy"][which] * 100 for record in records]
        return f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"

    def decibel(which: int) -> str:
        return f"{np.mean([record['sqnr_db'][which] for record in records]):.1f} dB"

    kept = dict.fromkeys(kind for record in records for kind in record["kept"])
    words = [f"{kind} ({sum(kind in r['kept'] for r in records)} of {seeds})" for kind in kept]
    wide = [record["wide"] for record in records if record["wide"]]
    if wide:
        told_once = dict.fromkeys(f"{some} of {of} layers" for some, of in wide)
        words.append(", ".join(told_once) + " at 16 bits")
    minutes = f"{np.mean([record['minutes'] for record in records]):.1f}"
    accuracies = (percent(which) for which in ("float", "before", "after"))
    told = "; ".join(words) or "nothing"
    return [NETWORKS[name].title, *accuracies, decibel(0), decibel(1), told, minutes]


def main() -> None:
    """Run what is missing, one trial after the other, and print the table."""
    parser = ArgumentParser(description="Accuracy before and after repair.")
    parser.add_argument("networks", nargs="*", help=f"of: {', '.join(NETWORKS)}")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--trial", type=int, help="run this seed of one network here")
    options = parser.parse_args()
    names = options.networks or list(NETWORKS)
    if options.trial is not None:
        run_trial(names[0], options.trial)
        return
    for seed in range(options.seeds):
        for name in names:
            if not (CACHE / f"{name}-{seed}.json").exists():
                print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
                run_child("benchmarks.repair_table", name, "--trial", str(seed))
    print_table(HEADER, (_line(name, options.seeds) for name in names))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
