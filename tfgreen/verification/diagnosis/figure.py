"""The plot of a diagnosis: SQNR layer by layer, and who causes the final error."""

from __future__ import annotations

from pathlib import Path

from tfgreen.drawing import new_figure, save_figure
from tfgreen.verification.diagnosis.record import Diagnosis

_INCHES_A_LAYER, _LEAST_INCHES, _MOST_INCHES = 0.22, 6.0, 30.0
_NO_NOISE_DB = 100.0


def draw(diagnosis: Diagnosis, path: Path) -> Path:
    """Write the plot; the suffix tells the format. Returns the path.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    rows = diagnosis.layers
    width = min(max(_INCHES_A_LAYER * len(rows), _LEAST_INCHES), _MOST_INCHES)
    figure = new_figure("a diagnosis", (width, 6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    places = list(range(len(rows)))
    for label, values in (
        ("ideal", [row.ideal_sqnr_db for row in rows]),
        ("op alone", [row.own_sqnr_db for row in rows]),
        ("whole file", [row.inherited_sqnr_db for row in rows]),
    ):
        levels = [_NO_NOISE_DB if value is None else value for value in values]
        upper.plot(places, levels, marker=".", label=label)
    faulty = {fault.layer for fault in diagnosis.faults if fault.layer}
    colours = ["tab:red" if row.tensor in faulty else "tab:gray" for row in rows]
    lower.bar(places, [100 * row.share_of_final_error for row in rows], color=colours)
    upper.set_ylabel("SQNR, dB")
    upper.legend()
    upper.set_title(diagnosis.text(layers=0).splitlines()[0], fontsize="medium", wrap=True)
    lower.set_ylabel("share of the final error, %")
    lower.set_xticks(places, [f"{row.op_index} {row.op}" for row in rows], rotation=90, fontsize=7)
    return save_figure(figure, path)
