"""Which parts of the universal VarNet help: a queue of small trainings fixed in advance, and its table.

    python scripts/ablation.py --dataset_dir prepared/real_brain_heart           # works through the queue
    python scripts/ablation.py --dataset_dir prepared/real_brain_heart --status  # what is done, what is left
    python scripts/ablation.py --dataset_dir prepared/real_brain_heart --report docs/ablation.md

Variants: (a) one VarNet per anatomy, the teachers of (d); (b) one VarNet for all; (c) with ASPIN, at each placement;
(d) with distillation, at three weights; (e) with flips and translations; (f) with affine augmentation too. (b), (c) at
all norms and (d) have three seeds, the others one. Seed 0 of everything comes first, so that a queue that was stopped
early is of use.

Ctrl-C or SIGTERM stops the queue after the step in hand, and the same command goes on. Results are kept in the cache
folder of recon_monai, or below `--output`. `--scale small` takes a few core-hours on a CPU: the script makes a
copy of the data with few slices of 96 x 96. `--scale full` is the same queue with the bundle's network and all the
data, for a GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation_parts.data import describe_data, reduce_data
from ablation_parts.plan import SCALES, queue
from ablation_parts.report import write_report
from ablation_parts.runner import Busy, Queue

from recon_monai.data import atomic_path, cache_dir

logger = logging.getLogger("ablation")


def main() -> int:
    """Work through the queue, or say where it stands."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    folder = arguments.output / arguments.scale
    try:
        runs, plan = _prepare(arguments.dataset_dir, arguments.scale, folder)
        if arguments.report:
            write_report(runs, plan, arguments.report)
        if arguments.status:
            print(runs.status())
        if arguments.report or arguments.status:
            return 0
        logger.info("%s", runs.status())
        return runs.work()
    except (Busy, OSError, ValueError) as error:
        logger.error("%s", error)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", type=Path, required=True, help="fully sampled data with a split by subject")
    parser.add_argument("--scale", choices=list(SCALES), default="small")
    parser.add_argument("--output", type=Path, default=cache_dir() / "ablation", help="folder of the results")
    parser.add_argument("--status", action="store_true", help="say what is done and what is left")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="write the tables and curves so far")
    return parser.parse_args()


def _prepare(dataset_dir: Path, name: str, folder: Path) -> tuple[Queue, dict[str, Any]]:
    """The queue, and its plan, which must be the one it was begun with."""
    scale, folder, source = SCALES[name], folder.absolute(), dataset_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    data = source if scale.matrix is None else folder / "data"
    parts = describe_data(source) if scale.matrix is None else reduce_data(source, data, scale.matrix, scale.slices)
    anatomies = sorted(parts["train"])
    updates: Mapping[str | None, int] = {
        None: sum(part["slices"] for part in parts["train"].values()),
        **{anatomy: parts["train"][anatomy]["slices"] for anatomy in anatomies},
    }
    runs = queue(anatomies)
    plan = {
        "scale": name,
        "settings": dataclasses.asdict(scale),
        "data": parts,
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    plan = json.loads(json.dumps(plan))
    file = folder / "plan.json"
    if file.is_file() and json.loads(file.read_text()) != plan:
        raise ValueError(f"{file}: the queue was begun by another plan or with other data; choose another --output")
    if not file.is_file():
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(plan, indent=2) + "\n")
    return Queue(runs, scale, folder / "runs", data, updates), plan


if __name__ == "__main__":
    sys.exit(main())
