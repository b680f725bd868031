"""A bounded load generator: a constant rate at an address of this machine, counted per revision."""

from hack.load.generator import Calls, Load
from hack.load.plan import Call, Plan, PlanError, plan_for
from hack.load.tally import Snapshot, Tally

__all__ = ["Call", "Calls", "Load", "Plan", "PlanError", "Snapshot", "Tally", "plan_for"]
