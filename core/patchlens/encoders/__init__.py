"""Encoders: one transformer (`vit.py`), thin loaders that bring foreign weights into it, and `Encoder` around both."""
