"""One keyword DS-CNN in six widths: `tfgreen compare`, and its table in the README.

    python -m benchmarks.width_table --measure [--test FILE.npz]   # measure, keep, write the README
    python -m benchmarks.width_table --time                        # only time the files again
    python -m benchmarks.width_table                               # write the README again

The network is the float model of benchmarks/compression_table.py (seed 0), calibrated with 400
training clips; accuracy is taken on the clips of `--test` (x_test, y_test; without it the
package's 416 held-back clips). The record is kept in benchmarks/records/widths.json; the README's
table is rendered from it and never typed.
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from pathlib import Path

from benchmarks.keyword_trials import CACHE, CALIBRATION_CLIPS, judging_clips, run_child
from tfgreen.comparison.record import Comparison
from tfgreen.comparison.timing import timed_again
from tfgreen.demonstration.keywords import load_keywords

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FILES = CACHE.parent / "widths"
RECORD = Path(__file__).parent / "records" / "widths.json"
BEGIN, END = "<!-- widths: written by benchmarks/width_table.py -->", "<!-- /widths -->"


def measure(test: str | None) -> Comparison:
    """Compare the widths of the trained network; it is trained first if it is not there."""
    import tfgreen as tg

    model = CACHE / "float-0.keras"
    if not model.exists():
        run_child("benchmarks.compression_table", "float", "--seeds", "1")
    clips = judging_clips(test)
    shutil.rmtree(FILES, ignore_errors=True)
    found = tg.compare(
        model,
        load_keywords().x_train[:CALIBRATION_CLIPS],
        evaluate=(clips.x, clips.y),
        accuracy_samples=len(clips.y),
        keep=FILES,
    )
    return found.model_copy(update={"model": "the keyword DS-CNN"})


def rendered(record: Comparison) -> str:
    """What stands between the markers: the table, and the sentence that says what it is."""
    host = record.host
    where = "" if host is None else f"{host.processor}, {host.cpus} processors"
    load = "" if host is None or host.load_before is None else f", load {host.load_before:.1f}"
    legend = (
        f"Accuracy on {record.score_samples:,} clips with Wilson's 95 % interval; points of "
        "difference by paired bootstrap; time: the median on XNNPACK with one thread "
        f"({where}{load}) and its ratio (?: no difference can be told); energy: the ratio of "
        "CPU-seconds, modelled; arena: bytes on a 64-bit host; right on: the kernel sets that load "
        "the file and compute it rightly, of reference, optimized, xnnpack, micro and numpy."
    )
    return f"{BEGIN}\n{record.to_markdown()}\n{textwrap.fill(legend, 100)}\n{END}"


def with_table(page: str, record: Comparison) -> str:
    """The page with everything between the markers replaced."""
    head, rest = page.split(BEGIN)
    return head + rendered(record) + rest.split(END)[1]


def main() -> None:
    """Measure if asked to, and write the README's table."""
    parser = argparse.ArgumentParser(description="The keyword DS-CNN in six widths.")
    parser.add_argument("--measure", action="store_true", help="measure anew")
    parser.add_argument("--test", metavar="FILE.npz", help="clips to judge by: x_test, y_test")
    parser.add_argument("--time", action="store_true", help="time the files of --measure again")
    given = parser.parse_args()
    if given.measure or given.time:
        kept = None if given.measure else Comparison.from_json(RECORD.read_bytes())
        record = measure(given.test) if kept is None else timed_again(kept, FILES)
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(record.to_json(), encoding="utf-8")
        print(record)
    record = Comparison.from_json(RECORD.read_bytes())
    page = README.read_text(encoding="utf-8")
    README.write_text(with_table(page, record), encoding="utf-8")


if __name__ == "__main__":
    main()
