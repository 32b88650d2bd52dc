"""The PatchLens dashboard: `patchlens app`. It imports patchlens and gradio; nothing imports it."""
