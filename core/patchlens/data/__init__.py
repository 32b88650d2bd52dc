"""Clips and stills: the procedural action benchmark, and the sources other modules read."""
