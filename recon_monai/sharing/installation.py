"""The section of an exported data sheet on how to install what the bundle needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from recon_monai import __version__
from recon_monai.sharing.requirements import OWN, requirement_lines

__all__ = ["installation_section"]

_PINNED = """\
The Python of this bundle is the package `recon-monai` {version}. It is on no package index: its wheel, `{wheel}`
(SHA-256 `{digest}`), is published
beside this bundle; `pip wheel --no-deps .` in the repository of recon_monai at that version builds it, too. With the
wheel in the current folder:

```
pip install --find-links . {lines}
```

From then on `python -m monai.bundle run` and MONAI's other commands work from any folder.
"""
_VENDORED = """\
```
pip install {lines}
```

The Python of this bundle is in `recon_monai/` beside `configs/`: those modules of recon_monai {version} that its
configurations reach. `python -m monai.bundle run` finds it from any folder. Other commands of MONAI (`ckpt_export`,
`verify_net_in_out`), `monai.bundle.load`, `check_properties` and `MonaiAlgo` do not look beside the configurations:
give them the bundle's folder as `PYTHONPATH`, for example

```
PYTHONPATH=. python -m monai.bundle verify_net_in_out network_def \\
    --meta_file configs/metadata.json --config_file configs/inference.json
```

A process imports one `recon_monai`: a second bundle with code of its own in the same process is refused. What other
bundles do in `initialize` this one does first in `run` (`begin`), since MONAI adds the bundle to the path in between.
"""
_REST = """\
Python 3.11 or newer. `pip` takes PyTorch from PyPI, on Linux with CUDA (several GB); for CPUs only, install it first
with `--index-url https://download.pytorch.org/whl/cpu`.{optional}
{whose} files in `bundles/`, `scripts/` or `docs/` that are not here belong to the repository of recon_monai.
"""


def installation_section(
    metadata: Mapping[str, Any], optional: Iterable[str], wheel: Path | None, shipped: bool
) -> str:
    """Write the section.

    Args:
        metadata: of the exported bundle.
        optional: other distributions that only overlays need.
        wheel: of this package; None for a bundle that brings its code.
        shipped: whether the bundle has weights.

    Returns:
        Markdown, from its heading on.
    """
    lines = " ".join(f"'{line}'" if set("<>!") & set(line) else line for line in requirement_lines(metadata))
    if wheel:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        text = _PINNED.format(version=__version__, wheel=wheel.name, digest=digest, lines=lines)
    else:
        text = _VENDORED.format(version=__version__, lines=lines)
    named = ", ".join(optional)
    rest = _REST.format(
        optional=f" Some overlays need more: {named}; without it they say so." if named else "",
        whose="Below," if wheel else f"Below, commands that begin with `{OWN}` and",
    )
    weights = "" if shipped else "\n**This copy has no weights**: train first, or name weights by `--ckpt`.\n"
    return f"## Installation\n{text}\n{rest}{weights}"
