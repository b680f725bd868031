"""Measures both versions and judges them, beside the reconcile loop."""
