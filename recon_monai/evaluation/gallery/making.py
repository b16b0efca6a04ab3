"""The whole of a gallery: every method on every problem, then table and figures."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recon_monai.evaluation.gallery.bench import Bench
from recon_monai.evaluation.gallery.figures import Tile, mosaic, save_panels, save_picture
from recon_monai.evaluation.gallery.images import IMAGE_METHODS, ImageProblem, choose_weight, image_problems
from recon_monai.evaluation.gallery.losses import LOSSES, LossBench, loss_label
from recon_monai.evaluation.gallery.methods import METHODS, Made, find_methods
from recon_monai.evaluation.gallery.problems import Problem, built_in_problem, load_problem, raw_files
from recon_monai.evaluation.gallery.report import Section, write_report
from recon_monai.evaluation.gallery.settings import GallerySettings
from recon_monai.evaluation.gallery.store import Result, ResultStore, result_key
from recon_monai.evaluation.gallery.volumes import (
    VolumeBench,
    VolumeProblem,
    built_in_volume,
    volume_label,
    volume_methods,
)

__all__ = ["ALL_METHODS", "make_gallery", "volume_names"]

ALL_METHODS = [*dict.fromkeys(["zero_filled", "adjoint", *METHODS])]
assert set(IMAGE_METHODS) <= set(ALL_METHODS)
"""Names of the methods for slices; those of super-resolution are `volume_methods`."""


def volume_names() -> list[str]:
    """Names of all that is done to a volume: the methods of super-resolution, and the losses of one of them."""
    return [*volume_methods(), *LOSSES]


_logger = logging.getLogger(__name__)


def make_gallery(
    output: str | Path,
    built_in: str | Path,
    volumes: str | Path | None = None,
    *,
    dataset_dir: str | Path | None = None,
    anatomy: str | None = None,
    methods: Sequence[str] | None = None,
    settings: GallerySettings | None = None,
    tuning: str | Path | None = None,
) -> list[Section]:
    """Run the whole family of methods, and write ``gallery.md``, ``gallery.csv`` and figures.

    Networks are kept under ``networks``, results under ``results``: a second run in the same folder computes only what
    is missing, has failed or depends on something that changed. The table is written anew after every problem.

    Args:
        output: folder.
        built_in: data set of slices, for training, validation (weights) and test (the slice).
        volumes: data set of volumes, for training and test; None leaves super-resolution out.
        dataset_dir: folder of raw k-space, see `raw_files`.
        anatomy: use only the raw files of this anatomy.
        methods: some of `ALL_METHODS` and `volume_names`; None takes all.
        settings: sizes.
        tuning: see `tuned_settings`.

    Returns:
        The sections of the table.

    Raises:
        ValueError: if a method is unknown, or a data set lacks what is needed. What a method raises is in its row.
    """
    settings = settings or GallerySettings()
    chosen = find_methods(None if methods is None else list(methods), [*dict.fromkeys([*ALL_METHODS, *volume_names()])])
    gallery = _Gallery(Path(output), Bench(Path(output), Path(built_in), settings, tuning), chosen)
    problem = built_in_problem(built_in, settings)
    gallery.reconstruct(problem)
    for image_problem in image_problems(problem, settings.seed):
        gallery.solve(image_problem, problem)
    if volumes is not None and any(name in chosen for name in volume_names()):
        volume, bench = built_in_volume(volumes, settings), VolumeBench(gallery.output / "networks", volumes, settings)
        gallery.sharpen(volume, bench)
        gallery.compare_losses(replace(volume, name="losses"), LossBench(bench))
    files = [] if dataset_dir is None else raw_files(dataset_dir, anatomy)
    for number, file in enumerate(files):
        gallery.reconstruct_file(file, sample=number == 0, first=files[0].name)
    return gallery.sections


class _Gallery:
    """What was done so far."""

    def __init__(self, output: Path, bench: Bench, methods: Sequence[str]) -> None:
        self.output = output
        self.bench = bench
        self.methods = methods
        self.store = ResultStore(output / "results")
        self.sections: list[Section] = []
        self._limit = f"sample, at most {bench.settings.time_limit:g} s"

    def reconstruct(self, problem: Problem, remark: str = "") -> None:
        """Every method on a slice of k-space."""
        section = Section(problem.name, problem.source, problem.title, remark=remark)
        for name in self.methods:
            method = METHODS.get(name)
            if method is None or (method.slow and not problem.sample):
                continue

            def make(prepared: Callable[[Bench, Problem], Made] = method.make) -> tuple[Callable, str, str]:
                made = prepared(self.bench, problem)
                return lambda: problem.fit(made.call(problem.kspace, problem.mask)), made.note, made.key

            section.results.append(
                self._take(problem.name, name, method.label, method.slow, problem.key, problem.target, make)
            )
        self._finish(section, problem.target[0].numpy())

    def reconstruct_file(self, file: Path, *, sample: bool, first: str) -> None:
        """Every method on the middle slice of a file, or why the file cannot be used."""
        slow = [METHODS[name].label for name in self.methods if name in METHODS and METHODS[name].slow]
        remark = f"Slow methods ({', '.join(slow)}) ran on the sample {first} alone." if slow and not sample else ""
        name = f"raw_{file.stem}"
        try:
            problem = load_problem(file, self.bench.settings, name=name, title=file.name, sample=sample)
        except (ValueError, OSError) as error:
            _logger.warning("%s cannot be used: %s", file.name, error)
            reason = " ".join(str(error).split())
            failed = Result(name, "file", "all methods", "", "", reason=reason)
            self.sections.append(Section(name, "unknown", f"{file.name}: not used", [failed]))
            self._write()
            return
        self.reconstruct(problem, remark)

    def solve(self, problem: ImageProblem, slice_problem: Problem) -> None:
        """Every method that solves a problem beside MRI, with the weight that validation chose."""
        section = Section(problem.name, "image", problem.title)
        for name in self.methods:
            method = IMAGE_METHODS.get(name)
            if method is None:
                continue

            def make(name: str = name) -> tuple[Callable, str, str]:
                method = IMAGE_METHODS[name]
                weight = choose_weight(self.bench, problem.name, name)
                solve, note, key = method.make(self.bench, problem)
                chosen = "" if math.isnan(weight) else f"{method.weight_name} {weight:g}"
                words = "; ".join(part for part in (note, chosen) if part)
                return lambda: solve(problem, weight), words, f"{name} {weight} {key}"

            section.results.append(
                self._take(problem.name, name, method.label, method.slow, problem.key, problem.target, make)
            )
        section.remark = f"On the target of the built-in slice ({slice_problem.file}, slice {slice_problem.slice})."
        self._finish(section, problem.target[0].numpy())

    def sharpen(self, problem: VolumeProblem, bench: VolumeBench) -> None:
        """Every method of super-resolution that is there."""
        section = Section(problem.name, "volume", problem.title)
        for name in volume_methods():  # in this order: interpolations first
            if name not in self.methods:
                continue

            def make(name: str = name) -> tuple[Callable, str, str]:
                return bench.make(name, problem)

            section.results.append(
                self._take(problem.name, name, volume_label(name), False, problem.key, problem.target, make)
            )
        self._finish(section, _middle(problem.target.numpy()))

    def compare_losses(self, problem: VolumeProblem, bench: LossBench) -> None:
        """One network, trained on by each loss."""
        names = [name for name in self.methods if name in LOSSES]
        if not names:
            return
        title = "the pixel-shuffle network of the volume above, trained on by each loss"
        section = Section(problem.name, "loss", title, remark="Weights of the losses are set by hand, not tuned.")
        for name in names:

            def make(name: str = name) -> tuple[Callable, str, str]:
                return bench.make(name, problem)

            section.results.append(
                self._take(problem.name, name, loss_label(name), False, problem.key, problem.target, make)
            )
        self._finish(section, _middle(problem.target.numpy()))

    def _take(
        self,
        problem: str,
        name: str,
        label: str,
        slow: bool,
        key: str,
        target: torch.Tensor,
        make: Callable[[], tuple[Callable[[], torch.Tensor], str, str]],
    ) -> Result:
        _logger.info("%s: %s", problem, label)
        draft = Result(problem, name, label, "", "")
        try:
            compute, note, method_key = make()
        except Exception as error:  # a method that cannot be made ready is a row as well
            return self.store.failed(draft, error)
        marked = "; ".join(part for part in (self._limit if slow else "", note) if part)
        return self.store.take(replace(draft, note=marked, key=result_key(key, method_key)), target, compute)

    def _finish(self, section: Section, target: npt.NDArray[np.float32]) -> None:
        self.sections.append(section)
        if section.results:
            tiles = [self._tile(result) for result in section.results]
            shown = _turned(target) if section.group in ("volume", "loss") else target
            save_picture(self.output / f"{section.name}.png", mosaic(shown, tiles, section.title))
            before = tiles[0].image if len(tiles) > 1 else None
            save_panels(self.output / "panels" / section.name, shown, before, tiles)
        self._write()

    def _tile(self, result: Result) -> Tile:
        if result.reason:
            return Tile(result.method, result.label, "failed, see the table", "", None)
        image = self.store.image(result)
        shown = _turned(_middle(image)) if len(image) > 1 else image[0]
        caption = f"SSIM {result.ssim:.3f}, {result.psnr:.1f} dB"
        parts = [f"sample ({self.bench.settings.time_limit:g} s)"] if self._limit in result.note else []
        if "trained" in result.note:
            parts.append("shipped weights" if "shipped" in result.note else _steps(result.note))
        return Tile(result.method, result.label, caption, ", ".join(parts), shown)

    def _write(self) -> None:
        write_report(self.output, self.sections, _remarks(self.bench.settings, self.bench.tuning))


def _remarks(settings: GallerySettings, tuning: str | Path | None) -> list[str]:
    where = "" if tuning is None else f" (classical methods of k-space: as tuned in {tuning})"
    return [
        f"One slice or volume for each table: nothing is averaged. K-space is undersampled {settings.acceleration}x "
        f"({settings.mask}, {settings.center_fraction:.0%} of the lines in the middle). SSIM and PSNR take the maximum "
        "of the slice or volume as data range. Seconds are those of the reconstruction on this machine, coil maps "
        "included, trainings not.",
        "Weights of regularizers and numbers of iterations were chosen on validation files of the built-in set"
        f"{where}, for raw data as well, never on what is shown. Networks `trained N steps here` had that small "
        "training on the training part of the built-in set and say little about what their architecture can do "
        "(`trained on for N steps`: from the trained network of the volume); "
        "shipped weights were trained on other data. A `sample` stands for what is too slow for every file.",
    ]


def _steps(note: str) -> str:
    """The ``trained N steps`` or ``trained on for N steps`` of a note."""
    return note[note.index("trained") : note.index(" here")]


def _middle(volume: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return volume[len(volume) // 2]


def _turned(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Right and anterior as a viewer shows them."""
    return np.ascontiguousarray(np.rot90(image))
