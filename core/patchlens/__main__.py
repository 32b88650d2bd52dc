"""`python -m patchlens`, which `torchrun -m patchlens` needs; the same as the command `patchlens`."""

from patchlens.cli import main

if __name__ == "__main__":
    main()
