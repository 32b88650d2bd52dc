"""Commands of the command line, one file per subject: plain functions that `cli.py` registers."""
