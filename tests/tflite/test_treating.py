"""Which samples a treatment may look at."""

from __future__ import annotations

import numpy as np
import pytest

from tfgreen.profile import load_profile
from tfgreen.tflite.treating import _Bench


@pytest.mark.parametrize(("count", "held_back"), [(16, 4), (200, 50), (1000, 64), (8, 0), (1, 0)])
def test_no_choice_rests_on_the_samples_that_judge(count: int, held_back: int) -> None:
    runs = (np.arange(count, dtype=np.float32)[:, None],)
    bench = _Bench(b"", b"", load_profile(), runs, held_back, lambda step, done, of: None)
    searched = bench.searched_runs
    assert max(searched) == count - held_back - 1
    assert len(set(searched)) == len(searched) == min(count - held_back, 64)
    assert len(bench.fitted_runs[0]) == count - held_back
