"""Mergers: they shorten the sequence inside the blocks, where selectors choose before the first one."""
