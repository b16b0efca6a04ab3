"""Bundles from Python: a network with its weights, and what its configuration does around it.

`load_bundle` reads ``configs/inference.json``, so that a call from Python does what
``python -m monai.bundle run inference`` does, in memory, and with files only where they are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader

import recon_monai
from recon_monai.data import read_split
from recon_monai.engines.overrides import unknown_id
from recon_monai.engines.super_resolution import SuperResolution, SuperResolver
from recon_monai.handlers import CollectedVolume, DomainCheck, ReconstructionSaver, VolumeHandler

__all__ = ["BundleParts", "ReconstructionBundle", "SuperResolutionBundle", "bundle_folder", "load_bundle", "user_error"]


class BundleParts:
    """The parts of a bundle's configuration that every use of its network needs.

    Args:
        parser: with the configuration, its ``bundle_root``, ``ckpt`` and ``device`` set.
        device: of the network.

    Attributes:
        weights: the file.
        network: with its weights, in evaluation mode.
        inferer: see `recon_monai.engines` and `recon_monai.inferers`.
    """

    def __init__(self, parser: ConfigParser, device: torch.device) -> None:
        self.device = device
        self.weights = Path(parser.get_parsed_content("weights"))
        self.network = parser.get_parsed_content("network").eval()
        self.inferer = parser.get_parsed_content("inferer")


class ReconstructionBundle(BundleParts):
    """A bundle that reconstructs k-space; made by `load_bundle`.

    Args:
        parser: with its ``inference.json``.
        device: of the network.
    """

    def __init__(self, parser: ConfigParser, device: torch.device) -> None:
        super().__init__(parser, device)
        self._prepare_batch = parser.get_parsed_content("evaluator::prepare_batch")
        # everything of the data set but its files, which each call has of its own
        parser["dataset::files"] = []
        parser["dataset::_mode_"] = "callable"
        self._dataset = parser.get_parsed_content("dataset")

    def reconstruct(
        self,
        files: str | Path | Sequence[str | Path],
        output_dir: str | Path | None = None,
        overwrite: bool = False,
    ) -> list[CollectedVolume]:
        """Reconstruct files in fastMRI's layout, slice by slice; warns of data that were never trained.

        Args:
            files: a file, a folder, or several of them.
            output_dir: folder to write HDF5 and NIfTI files to, as inference does; None writes nothing.
            overwrite: replace files that are there.

        Returns:
            One volume per file, with ``images["pred"]``, magnitudes ``(slices, h, w)`` in the scale of the file, and
            ``metadata``.

        Raises:
            ValueError: if there are no files, or they cannot be used; the message names them.
            FileExistsError: if a file would be written over.
        """
        given = [files] if isinstance(files, str | Path) else list(files)
        dataset = self._dataset(files=read_split(given, "all"))
        collected = _Collected()
        handlers: list[Any] = [DomainCheck(self.weights), collected]
        if output_dir is not None:
            handlers.append(ReconstructionSaver(output_dir, overwrite=overwrite))
        evaluator = SupervisedEvaluator(
            device=self.device,
            val_data_loader=DataLoader(dataset, batch_size=1),
            network=self.network,
            prepare_batch=self._prepare_batch,
            inferer=self.inferer,
            val_handlers=handlers,
        )
        evaluator.run()
        return collected.volumes


class SuperResolutionBundle(BundleParts):
    """A bundle that super-resolves volumes; made by `load_bundle`.

    Args:
        parser: with its ``inference.json``.
        device: of the network.

    Attributes:
        resolver: does the work, also in memory (`SuperResolver.resolve`).
    """

    resolver: SuperResolver

    def __init__(self, parser: ConfigParser, device: torch.device) -> None:
        super().__init__(parser, device)
        self.resolver = parser.get_parsed_content("evaluator")

    def super_resolve(
        self, inputs: str | Path | Sequence[str | Path], output_dir: str | Path, **options: Any
    ) -> list[SuperResolution]:
        """Super-resolve NIfTI files and DICOM series; refuses volumes unlike those of the training.

        Args:
            inputs: files, folders, patterns.
            output_dir: folder of the results.
            options: ``target_spacing`` or ``factor``, and the others of `SuperResolver.run`.

        Returns:
            What was written for each volume.

        Raises:
            FileNotFoundError: if an input matches no file.
            ValueError: if settings are wrong or volumes could not be used.
        """
        return self.resolver.run(inputs, output_dir, **options)


def load_bundle(
    folder: str | Path,
    *,
    ckpt: str | Path | None = None,
    device: str | torch.device | None = None,
    overlays: Sequence[str | Path] = (),
    **options: Any,
) -> ReconstructionBundle | SuperResolutionBundle:
    """Load a bundle's network with its weights, ready for files.

    Args:
        folder: of the bundle.
        ckpt: weights; None takes the newest finished run of the same architecture, else those the bundle ships.
        device: None takes the first GPU, else the CPU.
        overlays: further configurations, as ``small.json``: paths, or names in the bundle's ``configs``.
        options: values of the configuration by id, as on the command line: ``acceleration=4``, or
            ``**{"network_def::num_cascades": 12}``.

    Returns:
        A `ReconstructionBundle`, or for volumes a `SuperResolutionBundle`.

    Raises:
        FileNotFoundError: if the folder is no bundle, an overlay is missing, or there are no weights.
        ValueError: if an option is unknown, or weights do not fit the network.
    """
    root = Path(folder)
    parser = _read(root, overlays)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    content = parser.get()
    files = [f"{root / 'configs' / 'inference.json'}", *map(str, overlays)]
    problems = [problem for name in options if (problem := unknown_id(content, name.replace("#", "::"), files))]
    if problems:
        raise ValueError("; ".join(problems))
    given = {"bundle_root": str(root), "ckpt": None if ckpt is None else str(ckpt), "device": str(where)}
    for name, value in {**given, **options}.items():
        parser[name] = value
    if "imports" in parser:
        parser.get_parsed_content("imports")
    kind = SuperResolutionBundle if _is_super_resolution(content) else ReconstructionBundle
    try:
        return kind(parser, where)
    except RuntimeError as error:  # MONAI's, around what a part of the bundle says
        raise user_error(error) from error


def user_error(error: BaseException) -> BaseException:
    """What is behind an error of a configuration.

    Args:
        error: as MONAI raised it.

    Returns:
        Its first cause that is one of the user's (a value or a file); else the error itself.
    """
    found: BaseException | None = error
    while found is not None and not isinstance(found, ValueError | OSError):
        found = found.__cause__
    return error if found is None else found


def bundle_folder(name: str, weights: bool = True) -> Path:
    """Folder of a bundle of this package: in the clone that the package lies in, or below the current folder.

    Args:
        name: of the bundle.
        weights: whether it has to ship weights.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if it is in neither.
    """
    places = [Path(recon_monai.__file__).parents[1] / "bundles" / name, Path("bundles") / name]
    needed = Path("models/model.pt" if weights else "configs/inference.json")
    for folder in places:
        if (folder / needed).is_file():
            return folder
    raise FileNotFoundError(
        f"no {needed} in {' or '.join(map(str, places))}; the bundles are in the repository: run in a clone of it"
    )


class _Collected(VolumeHandler):
    """Keeps the volumes of an epoch."""

    def __init__(self) -> None:
        super().__init__(required=("pred",))
        self.volumes: list[CollectedVolume] = []

    def start(self, engine: Engine) -> None:
        self.volumes = []

    def take(self, engine: Engine, volume: CollectedVolume) -> None:
        self.volumes.append(volume)

    def finish(self, engine: Engine) -> None:
        pass


def _read(root: Path, overlays: Sequence[str | Path]) -> ConfigParser:
    configs = root / "configs"
    if not (configs / "inference.json").is_file():
        raise FileNotFoundError(
            f"{root} is no bundle: there is no {configs / 'inference.json'}; name a bundle's folder"
        )
    files = [configs / "inference.json"]
    for overlay in map(Path, overlays):
        found = next((path for path in (overlay, configs / overlay) if path.is_file()), None)
        if found is None:
            raise FileNotFoundError(f"overlay {overlay} is neither a file nor in {configs}")
        files.append(found)
    parser = ConfigParser()
    parser.read_config([str(file) for file in files])
    return parser


def _is_super_resolution(content: Mapping[str, Any]) -> bool:
    return str(content["evaluator"]["_target_"]).rpartition(".")[2] == "SuperResolver"
