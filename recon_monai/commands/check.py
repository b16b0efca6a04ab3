"""`recon-monai check`: what is in a data set, and everything that is wrong with it."""

from __future__ import annotations

import logging

__all__ = ["check"]

logger = logging.getLogger(__name__)


def check(*data: str, split: str = "all", headers_only: bool = False) -> None:
    """Read all files of a data set, print what is there and every problem; exit status 1 if there is any.

    Every array of every file is read once, and it is remembered for this version of the file: a second check, and the
    check before a training, take what is known. Files are only read.

    Examples:
        recon-monai check data
        recon-monai check /data/fastmri/brain /data/fastmri/knee --split train

    Args:
        data: folders as for dataset_dir, or single .h5 files.
        split: all, train, val or test.
        headers_only: look at headers only, which takes milliseconds per file; finds no bad values.
    """
    # torch takes seconds to import, which --help need not wait for
    from recon_monai.data.checks import check_files, describe_files
    from recon_monai.data.fastmri import FastMRIFileError
    from recon_monai.data.index import FileIndex
    from recon_monai.data.splits import read_split

    if not data:
        raise ValueError("no data given, expected folders or files, for example: recon-monai check data")
    if not isinstance(headers_only, bool):
        raise ValueError(f"headers_only is {headers_only!r}, expected --headers_only without a value, or True or False")
    files = read_split([str(folder) for folder in data], str(split))
    report = check_files(files, "headers" if headers_only else "full", FileIndex())
    if report.infos:
        logger.info("%s", describe_files(report.infos.values()))
    for problem in report.problems.values():
        logger.error("%s", problem)
    if report.problems:
        raise FastMRIFileError(
            f"{len(report.problems)} of {len(files)} files cannot be used, see above; correct or remove them, or leave "
            "them out of a run with --skip_bad True"
        )
    looked = "headers of all" if headers_only else "all values of all"
    logger.info("%s %d files are right", looked, len(files))
