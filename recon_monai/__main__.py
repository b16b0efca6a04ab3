"""`python -m recon_monai`: the same as the command `recon-monai`."""

from __future__ import annotations

from recon_monai.cli import main

if __name__ == "__main__":
    main()
