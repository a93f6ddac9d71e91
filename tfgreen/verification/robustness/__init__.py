"""How accuracy falls as the data get worse, for the float model and every file of it."""

from tfgreen.verification.robustness.conditions import Attacker, Plan
from tfgreen.verification.robustness.measuring import Subject, measure_robustness
from tfgreen.verification.robustness.record import Robustness

__all__ = ["Attacker", "Plan", "Robustness", "Subject", "measure_robustness"]
