"""Evaluation: sweeps, grounding and the principles, always with intervals."""
