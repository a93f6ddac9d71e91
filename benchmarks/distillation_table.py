"""Distillation on the spoken keywords: what a quarter-width student gains by a teacher.

    python -m benchmarks.distillation_table [--test FILE.npz] [--seeds N] [--epochs N]
                                            [--settings scarce,full] [VARIANT ...]
    python -m benchmarks.distillation_table --tune [VARIANT ...]

The teacher is a DS-CNN four times as wide as that of `tfgreen demo`, the student a quarter of it.

scarce       the student has the labels of 20 % of the training clips, and hears all of them with
             the teacher beside it; the teacher was trained on all labels, as one that somebody
             with more labels made
scarce-both  the teacher, too, was trained on the labels of those 20 % only
full         everybody has all labels

Every variant of a setting takes the same number of steps; a student that is rounded or pruned
begins at the float student of its kind (alone or taught) and is compared with the one that went
the same way alone. Judged is the exported int8 file on XNNPACK, on the clips of `--test` (x_test,
y_test; without it the package's held-back clips). `--tune` instead trains on five sixths of the
training clips and judges the float student by the last sixth: the constants below were chosen so.
Seconds are of training; of rounded and pruned students without those of the float student.
Prints a Markdown table: accuracy, the gain over the student alone paired by seed, its standard
error, and the 95 % interval by bootstrap over seeds and clips. Finished trials are kept in
benchmarks/.cache/trials/distillation; delete them there to run them anew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.distillation_nets import keyword_net
from benchmarks.keyword_trials import (
    BATCH_SIZE,
    CACHE,
    CALIBRATION_CLIPS,
    Trial,
    batches,
    difference_interval,
    exported,
    gates_failed,
    judging_clips,
    print_table,
    run_child,
    trial_of,
    trials_parser,
)
from tfgreen.demonstration.keywords import Keywords, load_keywords

PLACE = CACHE / "distillation"
TEACHER_WIDTH, STUDENT_WIDTH = 256, 16
EPOCHS, ROUNDING_EPOCHS, PRUNING_EPOCHS = 40, 20, 40
LABELLED_SHARE = 0.2
ALPHA, TEMPERATURE, FEATURE_WEIGHT = 0.1, 2.0, 0.1
PEAK_LEARNING_RATE, ROUNDING_LEARNING_RATE, PRUNING_LEARNING_RATE = 4e-3, 1e-3, 1e-2
HINTS = {"block_2": "block_2", "block_4": "block_4"}
HEADER = ("", "int8, %", "spread", "gain ± standard error", "95 %", "bytes", "s")
SETTINGS = ("scarce", "scarce-both", "full")


@dataclass(frozen=True)
class Variant:
    """How a student is trained.

    alone: the variant that it is compared with.
    features: learns from hint layers, too. then: "round" or "prune" after that.
    """

    title: str
    alone: str
    is_taught: bool = True
    features: bool = False
    then: str = ""


VARIANTS = {
    "alone": Variant("student alone", "alone", is_taught=False),
    "logits": Variant("+ teacher's logits", "alone"),
    "features": Variant("+ features", "alone", features=True),
    "qat-alone": Variant("student alone, QAT", "qat-alone", is_taught=False, then="round"),
    "qat": Variant("+ teacher inside QAT", "qat-alone", then="round"),
    "pruned-alone": Variant("student alone, 80 % pruned", "pruned-alone", False, then="prune"),
    "pruned": Variant("+ teacher inside 80 % pruning", "pruned-alone", then="prune"),
}


@dataclass(frozen=True)
class Job:
    """One trial: what is trained in which setting with which seed, and for how long."""

    name: str
    setting: str
    seed: int
    epochs: int
    test: str | None = None
    is_tuning: bool = False

    @property
    def path(self) -> Path:
        """Of the record."""
        split = "tune-" if self.is_tuning else ""
        length = "" if self.epochs == EPOCHS else f"-{self.epochs}"
        return PLACE / f"{split}{self.setting}-{self.name}-{self.seed}{length}.npz"

    def share_of_epochs(self, epochs: int) -> int:
        """As many as that is of a full training."""
        return max(1, self.epochs * epochs // EPOCHS)

    def arguments(self) -> list[str]:
        """Of the child process that runs it."""
        given = [
            "--trial",
            str(self.seed),
            "--settings",
            self.setting,
            "--epochs",
            str(self.epochs),
        ]
        given += ["--test", self.test] if self.test else []
        return [*given, *["--tune"] * self.is_tuning, self.name]


def clips_of(job: Job) -> tuple[Keywords, np.ndarray]:
    """The training clips, and which of them have labels, (n,) bool."""
    keywords = load_keywords()
    if job.is_tuning:
        order = np.random.default_rng(0).permutation(len(keywords.x_train))
        held_back, kept = np.split(order, [len(order) // 6])
        keywords = replace(
            keywords,
            x_train=keywords.x_train[kept],
            y_train=keywords.y_train[kept],
            x_test=keywords.x_train[held_back],
            y_test=keywords.y_train[held_back],
        )
    labelled = np.ones(len(keywords.y_train), bool)
    if job.setting != "full":
        random = np.random.default_rng(job.seed)
        labelled &= False
        for label in np.unique(keywords.y_train):
            of_it = np.flatnonzero(keywords.y_train == label)
            count = max(1, round(LABELLED_SHARE * len(of_it)))
            labelled[random.choice(of_it, count, replace=False)] = True
    return keywords, labelled


def compile_for(model: Any, steps: int, peak: float) -> None:
    """Adam with a cosine down to zero; the cross-entropy of logits, and accuracy."""
    import keras

    rate = keras.optimizers.schedules.CosineDecay(peak, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])


def fit(model: Any, job: Job, epochs: int, peak: float, is_taught: bool) -> Any:
    """Train on the labelled clips, or, taught, on all with labels where there are some.

    One epoch is always as many steps as all clips make.
    """
    import tensorflow as tf

    keywords, labelled = clips_of(job)
    steps = -(-len(keywords.x_train) // BATCH_SIZE)
    compile_for(model, epochs * steps, peak)
    if is_taught:
        numbers = np.arange(len(labelled), dtype=np.int32)
        labels = tf.constant(keywords.y_train)
        weights = tf.constant(labelled.astype(np.float32))
        data = batches(replace(keywords, y_train=numbers), job.seed)
        data = data.map(lambda x, i: (x, tf.gather(labels, i), tf.gather(weights, i)))
    else:
        few = replace(
            keywords, x_train=keywords.x_train[labelled], y_train=keywords.y_train[labelled]
        )
        data = batches(few, job.seed).repeat()
    model.fit(data, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    return model


def teacher_of(job: Job) -> Any:
    """The teacher of a setting and seed; trained once and kept."""
    import keras

    whose = f"-{job.seed}" if job.setting == "scarce-both" else ""
    name = "few" if job.setting == "scarce-both" else "all"
    split = "tune-" if job.is_tuning else ""
    length = "" if job.epochs == EPOCHS else f"-{job.epochs}"
    path = PLACE / f"{split}teacher-{name}{whose}{length}.keras"
    if path.exists():
        return keras.models.load_model(path, compile=False)
    keras.utils.set_random_seed(100 + job.seed)
    setting = "scarce" if job.setting == "scarce-both" else "full"
    began = time.perf_counter()
    model = keyword_net(TEACHER_WIDTH)
    fit(model, replace(job, setting=setting), job.epochs, PEAK_LEARNING_RATE, is_taught=False)
    keywords, _ = clips_of(job)
    _, accuracy = model.evaluate(keywords.x_test, keywords.y_test, verbose=0)
    save_model(model, path)
    print(f"{path.stem}: held back {accuracy:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    return model


def teaching(job: Job) -> list[Any]:
    """The technique of a taught student; none for one that is alone."""
    import tfgreen as tg

    if not VARIANTS[job.name].is_taught:
        return []
    technique = tg.Distillation(
        teacher=teacher_of(job),
        alpha=ALPHA,
        temperature=TEMPERATURE,
        features=HINTS if VARIANTS[job.name].features else None,
        feature_weight=FEATURE_WEIGHT,
        sample_weights="labels",
    )
    return [technique]


def student_of(job: Job) -> Any:
    """The student of a variant, trained, in the form that is exported."""
    import tfgreen as tg

    variant = VARIANTS[job.name]
    if not variant.then:
        return float_student(job)
    model = float_student(replace(job, name="logits" if variant.is_taught else "alone"))
    techniques = teaching(job)
    if variant.then == "round":
        techniques.insert(0, tg.QuantizationAwareTraining())
        epochs, rate = job.share_of_epochs(ROUNDING_EPOCHS), ROUNDING_LEARNING_RATE
    else:
        techniques.insert(0, tg.Pruning(sparsity=0.8, end=0.5))
        epochs, rate = job.share_of_epochs(PRUNING_EPOCHS), PRUNING_LEARNING_RATE
    return trained(model, techniques, job, epochs, rate)


def float_student(job: Job) -> Any:
    """The student of a float variant; trained once and kept."""
    import keras

    path = job.path.with_suffix(".keras")
    keras.utils.set_random_seed(job.seed)
    if path.exists():
        return keras.models.load_model(path, compile=False)
    model = keyword_net(STUDENT_WIDTH)
    model = trained(model, teaching(job), job, job.epochs, PEAK_LEARNING_RATE)
    save_model(model, path)
    return model


def save_model(model: Any, path: Path) -> None:
    """Write a .keras file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    model.save(partial)
    partial.replace(path)


def trained(model: Any, techniques: list[Any], job: Job, epochs: int, peak: float) -> Any:
    """Prepare in order, fit, finalize in reverse."""
    keywords, labelled = clips_of(job)
    calibration = keywords.x_train[labelled][:CALIBRATION_CLIPS]
    for technique in techniques:
        model = technique.prepare(model, calibration=calibration)
    fit(model, job, epochs, peak, VARIANTS[job.name].is_taught)
    for technique in reversed(techniques):
        model = technique.finalize(model)
    return model


def run_trial(job: Job) -> None:
    """Train, export and judge one variant, and keep the record."""
    began = time.perf_counter()
    model = student_of(job)
    seconds = time.perf_counter() - began
    keywords, _ = clips_of(job)
    if job.is_tuning:
        said = np.asarray(model.predict(keywords.x_test, verbose=0)).argmax(-1)
        Trial(0, 0, {"float": said == keywords.y_test}, seconds, {}).save(job.path)
        return
    trial = record_exported(model, job, seconds)
    accuracy = trial.correct["xnnpack"].mean()
    print(
        f"{job.path.stem}: {accuracy:.4f}, {trial.file_bytes:,} bytes, {seconds:.0f} s", flush=True
    )


def record_exported(model: Any, job: Job, train_seconds: float) -> Trial:
    """Export and judge a model, and keep the record."""
    keywords, _ = clips_of(job)
    bundle = exported(model, keywords, "mobile-int8")
    verdict = bundle.certificate.verdict
    clips = judging_clips(job.test)
    trial = trial_of(bundle.content, clips, ("xnnpack",), train_seconds, verdict=verdict)
    trial.save(job.path)
    return trial


def record_of(job: Job) -> Trial:
    """The record of a job; a missing one is run in a child process."""
    if not job.path.exists():
        run_child("benchmarks.distillation_table", *job.arguments())
    return Trial.read(job.path)


def row(variant: Variant, trials: Sequence[Trial], alone: Sequence[Trial]) -> tuple[str, ...]:
    """One line of the table."""
    kind = next(iter(trials[0].correct))
    accuracy = np.array([100 * trial.correct[kind].mean() for trial in trials])
    gains = accuracy - np.array([100 * trial.correct[kind].mean() for trial in alone])
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
    _, low, high = difference_interval(
        [trial.correct[kind] for trial in trials], [trial.correct[kind] for trial in alone]
    )
    compared = trials is not alone
    size = float(np.mean([trial.file_bytes for trial in trials]))
    return (
        f"{variant.title}{gates_failed(trials)}",
        f"{accuracy.mean():.2f}",
        f"{accuracy.std(ddof=min(1, len(accuracy) - 1)):.2f}",
        f"{gains.mean():+.2f} ± {error:.2f}" if compared else "",
        f"[{low:+.2f}, {high:+.2f}]" if compared else "",
        f"{size:,.0f}",
        f"{np.mean([trial.train_seconds for trial in trials]):.0f}",
    )


def table(setting: str, names: Sequence[str], seeds: range, given: Any) -> None:
    """Run what is missing of a setting and print its table."""
    jobs = {
        name: [Job(name, setting, seed, given.epochs, given.test, given.tune) for seed in seeds]
        for name in VARIANTS
    }
    records = {
        name: [record_of(job) for job in jobs[name]]
        for name in dict.fromkeys([*(VARIANTS[n].alone for n in names), *names])
    }
    print(f"\n{setting}\n")
    lines = [row(VARIANTS[name], records[name], records[VARIANTS[name].alone]) for name in names]
    if not given.tune:
        teachers = [record_of(Job("teacher", setting, s, given.epochs, given.test)) for s in seeds]
        lines.insert(0, row(Variant("teacher", "teacher"), teachers, teachers))
    print_table(HEADER, lines)


def main() -> None:
    """Run what is missing and print the tables, or run one trial."""
    parser = trials_parser("Distillation on the spoken keywords.", "variant", VARIANTS, seeds=5)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"default {EPOCHS}")
    parser.add_argument("--settings", default=",".join(SETTINGS), help="separated by commas")
    parser.add_argument("--tune", action="store_true", help="judge by training clips held back")
    parser.add_argument("--trial", type=int, metavar="SEED", help="run one trial in this process")
    given = parser.parse_args()
    settings = given.settings.split(",")
    names = given.variants or list(VARIANTS)
    if given.trial is not None:
        job = Job(names[0], settings[0], given.trial, given.epochs, given.test, given.tune)
        if job.name == "teacher":
            record_exported(teacher_of(job), job, 0.0)
        else:
            run_trial(job)
        return
    for setting in settings:
        table(setting, names, range(given.seeds), given)


if __name__ == "__main__":
    main()
