"""How accuracy falls as the data get worse, for the float model and every file of it."""

from tfgreen.verification.robustness.conditions import Attacker, Conditions, Plan
from tfgreen.verification.robustness.measuring import ROBUSTNESS_SAMPLES, measure_robustness
from tfgreen.verification.robustness.record import Robustness
from tfgreen.verification.robustness.running import Subject

__all__ = [
    "ROBUSTNESS_SAMPLES",
    "Attacker",
    "Conditions",
    "Plan",
    "Robustness",
    "Subject",
    "measure_robustness",
]
