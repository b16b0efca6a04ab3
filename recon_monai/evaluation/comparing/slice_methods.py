"""Methods that reconstruct k-space, all called alike."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from recon_monai.data import built_in_dataset
from recon_monai.evaluation.classical_methods import CLASSICAL_METHODS, classical_method
from recon_monai.evaluation.comparing.bundles import LoadedBundle
from recon_monai.evaluation.comparing.described import MethodRecord
from recon_monai.evaluation.comparing.settings import ComparisonSettings, fingerprint_of
from recon_monai.evaluation.comparing.words import MethodWord
from recon_monai.evaluation.gallery import METHODS, SHIPPED_TUNING, GallerySettings, Problem, tuned_settings
from recon_monai.evaluation.gallery.bench import Bench
from recon_monai.solvers import ZeroFilled
from recon_monai.transforms import Undersampled

__all__ = ["BundleReconstruction", "SliceMethod", "make_slice_method"]

OWN_TUNING = Path(__file__).with_name("tuning")
"""Files of `recon-monai tune` for accelerations that the gallery does not use."""

_UNTRAINED = ("deep_image_prior",)

Call = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class SliceMethod(ABC):
    """A reconstruction of one slice after the other.

    Attributes:
        record: what a table says of it.
        is_warm: whether it has reconstructed: its libraries are loaded and what it trains first is trained.
    """

    record: MethodRecord
    is_warm: bool = False

    @abstractmethod
    def prepare(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """Undersample an item of the data set, and whatever else the method does before it reconstructs."""

    @abstractmethod
    def call(self, item: Mapping[str, Any]) -> Call:
        """What reconstructs a prepared item, and others of its size, acceleration and anatomy.

        Args:
            item: of `prepare`.

        Returns:
            ``call(kspace, mask)``: ``(B, coil, H, W)`` and ``(B, 1, 1 or H, W)`` to the whole field of view
            ``(B, 1, H, W)``.
        """

    def image(self, item: Mapping[str, Any]) -> torch.Tensor:
        """Reconstruct a prepared item, shape ``(1, H, W)``: the whole field of view, on the CPU."""
        return self.call(item)(item["kspace"][None], item["mask"][None])[0].detach().cpu()


def make_slice_method(word: MethodWord, settings: ComparisonSettings, output: Path) -> SliceMethod:
    """Make a method by its name.

    Args:
        word: of the kind ``"slices"``.
        settings: masks, tuning and seed.
        output: folder of the comparison, where networks that are trained here are kept.

    Returns:
        The method.
    """
    if word.word == "zero_filled":
        return _ZeroFilledMethod(word, settings)
    if word.word in CLASSICAL_METHODS:
        return _TunedMethod(word, settings)
    return _GalleryMethod(word, settings, output)


class _Plain(SliceMethod):
    """A method that undersamples and does nothing else before."""

    def __init__(self, word: MethodWord, settings: ComparisonSettings) -> None:
        self.word = word
        self.settings = settings
        self._undersampled = Undersampled(settings.sampling(), file_mask=settings.file_mask)

    def prepare(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        copy: dict[Any, Any] = dict(raw)
        return {str(key): value for key, value in self._undersampled(copy).items()}


class _ZeroFilledMethod(_Plain):
    def __init__(self, word: MethodWord, settings: ComparisonSettings) -> None:
        super().__init__(word, settings)
        detail = "root sum of squares of the zero-filled coil images"
        self.record = MethodRecord(word.name, "classical", detail, None, None, "zero_filled")

    def call(self, item: Mapping[str, Any]) -> Call:
        return ZeroFilled()


class _TunedMethod(_Plain):
    """One of `CLASSICAL_METHODS` with the settings that were tuned for the acceleration of the item."""

    def __init__(self, word: MethodWord, settings: ComparisonSettings) -> None:
        super().__init__(word, settings)
        places = (SHIPPED_TUNING, OWN_TUNING) if settings.tuning is None else (Path(settings.tuning),)
        self.files = [place / f"{word.word}.json" for place in places if (place / f"{word.word}.json").is_file()]
        if not self.files:
            raise FileNotFoundError(
                f"{places[0] / word.word}.json: there is no such file; make it with recon-monai tune {word.word}"
            )
        tuned_on = "validation part of the built-in set" if settings.tuning is None else str(self.files[0])
        detail = f"{METHODS[word.word].label}, settings by acceleration as tuned"
        key = fingerprint_of(word.word, [path.read_text(encoding="utf-8") for path in self.files])
        self.record = MethodRecord(word.name, "classical", detail, None, tuned_on, key)

    def call(self, item: Mapping[str, Any]) -> Call:
        acceleration = int(item["acceleration"])
        *before, last = self.files
        for path in before:
            if str(acceleration) in json.loads(path.read_text(encoding="utf-8")).get(self.word.word, {}):
                last = path
        tuned = tuned_settings(self.word.word, acceleration, last.parent)
        return classical_method(self.word.word, **tuned)


class _GalleryMethod(_Plain):
    """A method of the gallery that fits a network to the slice, or trains a small one on the built-in set first."""

    def __init__(self, word: MethodWord, settings: ComparisonSettings, output: Path) -> None:
        super().__init__(word, settings)
        self.output = output / "networks"
        label = METHODS[word.word].label
        kind: Literal["classical", "checkpoint"] = "classical" if word.word in _UNTRAINED else "checkpoint"
        detail = label if word.word in _UNTRAINED else f"{label}, a small training on the built-in set"
        key = fingerprint_of(word.word, settings.seed, settings.sampling_configuration())
        self.record = MethodRecord(word.name, kind, detail, None, None, key)
        self._benches: dict[int, Bench] = {}

    @cached_property
    def _built_in(self) -> Path:
        return Path(built_in_dataset())

    def call(self, item: Mapping[str, Any]) -> Call:
        bench = self._bench(int(item["acceleration"]))
        target = item.get("target", torch.zeros(1, *item["kspace"].shape[-2:]))
        problem = Problem(
            self.word.word,
            self.word.name,
            str(item["source"]),
            str(item["file"]),
            int(item["slice"]),
            item["kspace"],
            item["mask"],
            target,
            True,
        )
        made = METHODS[self.word.word].make(bench, problem)

        def reconstruct(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            slices = [made.call(one, its).reshape(1, *one.shape[-2:]) for one, its in zip(kspace, mask, strict=True)]
            return torch.stack(slices)

        return reconstruct

    def _bench(self, acceleration: int) -> Bench:
        if acceleration not in self._benches:
            settings = self.settings
            nominal = [int(value) for value in settings.accelerations]
            if acceleration not in nominal:
                raise ValueError(f"the file is undersampled {acceleration}x, and the training here is for {nominal}")
            sizes = GallerySettings(
                seed=settings.seed,
                acceleration=acceleration,
                center_fraction=settings.center_fractions[nominal.index(acceleration)],
                mask=settings.mask,
            )
            self._benches[acceleration] = Bench(
                self.output / f"{acceleration}x", self._built_in, sizes, settings.tuning
            )
        return self._benches[acceleration]


class BundleReconstruction(SliceMethod):
    """A bundle's evaluation.

    Args:
        bundle: loaded.
    """

    def __init__(self, bundle: LoadedBundle) -> None:
        self.bundle = bundle
        self.record = bundle.record()

    def prepare(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """See `SliceMethod`; by the bundle's own preprocessing."""
        return dict(self.bundle.preprocessing(dict(raw)))

    def call(self, item: Mapping[str, Any]) -> Call:
        """See `SliceMethod`."""

        def reconstruct(kspace: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            one_by_one = [
                self.bundle.infer({**item, "kspace": one, "mask": its}, output_size=None)
                for one, its in zip(kspace, mask, strict=True)
            ]
            return torch.stack(one_by_one)

        return reconstruct
