"""`recon-monai gallery`: all methods on one slice, one volume and raw k-space, with table and figures."""

from __future__ import annotations

from collections.abc import Sequence

from recon_monai.commands.values import words_of

__all__ = ["gallery"]


def gallery(
    output: str,
    dataset_dir: str | None = None,
    time_limit: float = 30.0,
    methods: str | Sequence[str] | None = None,
    seed: int = 0,
    anatomy: str | None = None,
    tuning: str | None = None,
) -> None:
    """Run every method on a built-in slice and volume, small inverse problems beside MRI, and raw k-space.

    Writes gallery.md, gallery.csv and figures. What needs a training is trained here for a small number of steps that
    the table states. A second run in the same folder computes only what is missing.

    Example:
        recon-monai gallery gallery --dataset_dir prepared/raw_test --time_limit 30

    Args:
        output: folder.
        dataset_dir: folder of files of raw, fully sampled k-space (docs/data.md); the middle slice of each is used.
        time_limit: seconds for each reconstruction by a slow method, on one sample.
        methods: some of them, separated by commas, for example cg_sense,total_variation,cubic.
        seed: of trainings, noise and searches.
        anatomy: use only the raw files of this anatomy, for example brain.
        tuning: folder of files METHOD.json of recon-monai tune, in place of those of the built-in set.
    """
    from recon_monai.data import built_in_dataset, ensure_demo_volumes
    from recon_monai.evaluation.gallery import ALL_METHODS, GallerySettings, make_gallery, volume_names
    from recon_monai.evaluation.gallery.methods import find_methods

    try:
        seconds = float(time_limit)
    except (TypeError, ValueError):
        raise ValueError(f"time_limit is {time_limit!r}, expected a positive number of seconds") from None
    settings = GallerySettings(time_limit=seconds, seed=seed)
    names = find_methods(
        None if methods is None else words_of(methods), [*dict.fromkeys([*ALL_METHODS, *volume_names()])]
    )
    wanted = any(name in names for name in volume_names())
    make_gallery(
        str(output),
        built_in_dataset(),
        ensure_demo_volumes() if wanted else None,
        dataset_dir=None if dataset_dir is None else str(dataset_dir),
        anatomy=anatomy,
        methods=names,
        settings=settings,
        tuning=tuning,
    )
