"""Which parts of a bundle's network help: a queue of small trainings fixed in advance, and its page.

    python scripts/ablation.py --dataset_dir prepared/real_brain_heart           # works through the queue
    python scripts/ablation.py --dataset_dir prepared/real_brain_heart --status  # what is done, what is left
    python scripts/ablation.py --dataset_dir prepared/real_brain_heart --report docs/ablation.md
    python scripts/ablation.py --bundle weighted_dircn --dataset_dir prepared/real_brain_heart
    python scripts/ablation.py --bundle mdcsrn_wgan_gp --dataset_dir FOLDER_OF_NIFTI

Variants of the universal VarNet (the default bundle): (a) one VarNet per anatomy, the teachers of (d); (b) one VarNet
for all; (c) with ASPIN, at each placement; (d) with distillation, at three weights; (e) with flips and translations;
(f) with affine augmentation too. (b), (c) at all norms and (d) have three seeds, the others one.

Variants of the weighted DIRCN: normalized sum (the default) and concatenation with three seeds; from the default, one
thing changed at a time with one seed: no aggregation, plain sum, no interconnections, no squeeze and excitation, focal
loss, batch schedule. Memory and time of a training step are measured too, at sizes of their own.

Variants of mDCSRN-WGAN-GP: from one pretrained generator, equally many further updates of it by L1 alone, with a critic
whose weights are clipped, and with one with gradient penalty, with three seeds each; with the critics of the published
sizes, one seed. Memory and time of all steps are measured too.

Seed 0 of everything comes first, so that a queue that was stopped early is of use.

Ctrl-C or SIGTERM stops the queue after the step in hand, and the same command goes on. Results are kept in the cache
folder of recon_monai, or below `--output`. `--scale small` takes a few core-hours on a CPU: the script makes a
copy of the data with few slices of 96 x 96, or blocks of 96 x 96 x 96 voxels. `--scale full` is the same queue with the
bundle's network and all the data, for a GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ablation_parts import dircn_plan, dircn_report, mdcsrn_plan, mdcsrn_report, plan, report
from ablation_parts.data import prepare_slices
from ablation_parts.runner import Busy, Queue
from ablation_parts.task import Prepared
from ablation_parts.volume_data import prepare_volumes

from recon_monai.data import atomic_path, cache_dir

logger = logging.getLogger("ablation")


class Comparison(NamedTuple):
    """What belongs to a bundle.

    Attributes:
        plan: module with ``SCALES`` and ``queue``.
        report: module with ``write_report``.
        data: makes the data of the runs, of the source, the folder of the results and the scale.
        folder: of the results, below the cache folder.
    """

    plan: ModuleType
    report: ModuleType
    data: Callable[[Path, Path, Any], Prepared]
    folder: str


COMPARISONS = {
    "universal_varnet": Comparison(plan, report, prepare_slices, "ablation"),
    "weighted_dircn": Comparison(dircn_plan, dircn_report, prepare_slices, "ablation_weighted_dircn"),
    "mdcsrn_wgan_gp": Comparison(mdcsrn_plan, mdcsrn_report, prepare_volumes, "ablation_mdcsrn_wgan_gp"),
}


def main() -> int:
    """Work through the queue, or say where it stands."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    comparison = COMPARISONS[arguments.bundle]
    folder = (arguments.output or cache_dir() / comparison.folder) / arguments.scale
    try:
        runs, begun = _prepare(comparison, arguments.dataset_dir, arguments.scale, folder)
        if arguments.report:
            comparison.report.write_report(runs, begun, arguments.report)
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
    parser.add_argument("--bundle", choices=list(COMPARISONS), default="universal_varnet", help="whose variants")
    parser.add_argument("--dataset_dir", type=Path, required=True, help="fully sampled data, split by subject")
    parser.add_argument("--scale", choices=list(plan.SCALES), default="small")
    parser.add_argument("--output", type=Path, help="folder of the results")
    parser.add_argument("--status", action="store_true", help="say what is done and what is left")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="write the tables and curves so far")
    return parser.parse_args()


def _prepare(
    comparison: Comparison, dataset_dir: Path, name: str, folder: Path
) -> tuple[Queue[Any, Any], dict[str, Any]]:
    """The queue, and its plan, which must be the one it was begun with; runs may have been added."""
    scale, folder, source = comparison.plan.SCALES[name], folder.absolute(), dataset_dir.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    prepared = comparison.data(source, folder, scale)
    runs = comparison.plan.queue(prepared.anatomies)
    begun = {
        "scale": name,
        "settings": dataclasses.asdict(scale),
        "data": prepared.parts,
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    begun = json.loads(json.dumps(begun))
    file = folder / "plan.json"
    before = json.loads(file.read_text()) if file.is_file() else begun
    kept = all(run in begun["runs"] for run in before["runs"])  # runs may be added
    if not kept or {**before, "runs": []} != {**begun, "runs": []}:
        raise ValueError(f"{file}: the queue was begun by another plan or with other data; choose another --output")
    if before != begun or not file.is_file():
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(begun, indent=2) + "\n")
    return Queue(runs, scale, folder / "runs", prepared.folder, prepared.updates), begun


if __name__ == "__main__":
    sys.exit(main())
