"""Who judges: the profile's truth, or a stand-in that is told."""

from __future__ import annotations

import pytest

from tests import tiny_models
from tfgreen.flatbuffer import TfliteModel
from tfgreen.profile import load_profile
from tfgreen.runtimes import Availability
from tfgreen.verification import lineup as module
from tfgreen.verification.lineup import Lineup

MISSING = 'The micro kernels need tflite-micro. Install it: pip install "tfgreen[mcu]"'


@pytest.fixture
def no_micro(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(name: str) -> Availability:
        return Availability(name != "micro", "1.0", MISSING if name == "micro" else "")

    monkeypatch.setattr(module, "availability", found)


def test_all_there() -> None:
    lineup = Lineup.of(load_profile("mobile-int8"))
    assert (lineup.truth, lineup.compared) == ("xnnpack", ("reference", "optimized"))
    assert lineup.facts["xnnpack"].role == "truth"
    assert lineup.facts["reference"].version
    assert not list(lineup.checks("kernels"))


def test_the_reference_stands_in_for_a_missing_truth(no_micro: None) -> None:
    lineup = Lineup.of(load_profile("microcontroller-int8"))
    assert (lineup.truth, lineup.compared) == ("reference", ("xnnpack",))
    assert {name: facts.role for name, facts in lineup.facts.items()} == {
        "micro": "truth", "reference": "stand-in", "xnnpack": "compared", "numpy": "oracle",
    }  # fmt: skip
    (check,) = lineup.checks("kernels")
    assert check.status == "warning"
    assert "'reference' stands in" in check.message
    assert 'pip install "tfgreen[mcu]"' in check.message


def test_a_missing_compared_set_is_skipped(no_micro: None) -> None:
    lineup = Lineup.of(load_profile("ethos-u55-int8"))
    assert (lineup.truth, lineup.compared) == ("reference", ("xnnpack",))
    (check,) = lineup.checks("runtime")
    assert (check.status, check.kernel_set) == ("skipped", "micro")


@pytest.mark.parametrize(
    ("profile", "content", "expected"),
    [
        ("mobile-int8", tiny_models.int8_classifier(), "reference"),
        ("mobile-int8", tiny_models.int8_sum(), "optimized"),  # SUM is bad on the reference
        ("ethos-u55-int8", tiny_models.int8_sum(), "reference"),  # it is the truth there
        ("microcontroller-int8", tiny_models.int8_classifier(), "reference"),
    ],
)
def test_who_shows_the_intermediates(profile: str, content: bytes, expected: str) -> None:
    model = TfliteModel.from_bytes(content)
    assert Lineup.of(load_profile(profile)).capture_set(model) == expected
