"""A bounded load generator: a constant rate at an address of this machine, counted per revision."""

from hack.load.generator import Load
from hack.load.plan import Plan, PlanError, plan_for
from hack.load.tally import Snapshot, Tally

__all__ = ["Load", "Plan", "PlanError", "Snapshot", "Tally", "plan_for"]
