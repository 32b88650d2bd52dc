"""Selectors: one file, one idea; each class registers itself, and every one is tested by the same contract."""
