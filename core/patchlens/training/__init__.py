"""Training: the recipes that make the bundled models, resumable and logged."""
