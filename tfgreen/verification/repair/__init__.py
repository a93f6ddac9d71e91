"""Repair: a quantized file that misses its fidelity gate is made better, the cheapest way first.

Every step is judged on the exported file, on samples that it was not fitted to, and only what
helps is kept.
"""

from tfgreen.verification.repair.ladder import Order, Repaired, repair_file
from tfgreen.verification.repair.record import RepairRecord, Step

__all__ = ["Order", "RepairRecord", "Repaired", "Step", "repair_file"]
