"""Names of the files that are written, and of the subjects in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Naming"]

_BIDS_SUBJECT = re.compile(r"(?:^|_)(sub-[A-Za-z0-9]+)(?=_|$)")


@dataclass(frozen=True)
class Naming:
    """Where the names of files and subjects come from.

    A subject is, in this order: `subject`; the first group (or the whole match) of `subject_regex` in the file name (of
    DICOM series: in the path of its folder); the BIDS label `sub-XX` in the file name; the file name without suffix
    (of DICOM series: a pseudonym made of the patient's identity).

    Args:
        subject: the subject of all inputs.
        subject_regex: regular expression searched in the file name.
        prefix: put before file names and subjects, to keep data sets apart whose names are alike.
    """

    subject: str | None = None
    subject_regex: str | None = None
    prefix: str | None = None

    def subject_of(self, path: Path, stem: str, *, searched: str | None = None) -> str:
        """Subject of a file.

        Args:
            path: the file.
            stem: its name without suffix, or what stands for it.
            searched: text that `subject_regex` is searched in; None searches the file name.

        Returns:
            The subject with the prefix.

        Raises:
            ValueError: if the regular expression is wrong or does not match.
        """
        if self.subject is not None:
            return self.named(str(self.subject))
        if self.subject_regex is not None:
            text, place = (path.name, "the file name") if searched is None else (searched, repr(searched))
            found = search_words("subject_regex", self.subject_regex, text)
            if found is None:
                raise ValueError(f"{path}: subject_regex {self.subject_regex!r} does not match {place}")
            return self.named(found.group(1) if found.re.groups else found.group(0))
        bids = _BIDS_SUBJECT.search(stem)
        return self.named(bids.group(1) if bids else stem)

    def named(self, name: str) -> str:
        """The name with the prefix, fit for a file name."""
        joined = name if self.prefix is None else f"{self.prefix}_{name}"
        return re.sub(r"[^\w.+-]", "_", joined).lstrip(".")


def search_words(name: str, expression: str, text: str, flags: re.RegexFlag = re.NOFLAG) -> re.Match[str] | None:
    """Search a regular expression that a user gave.

    Args:
        name: of the setting, for the message.
        expression: the regular expression.
        text: where it is searched.
        flags: of the search.

    Returns:
        The first match.

    Raises:
        ValueError: if the expression is none.
    """
    try:
        return re.search(expression, text, flags)
    except re.error as error:
        raise ValueError(f"{name} {expression!r} is not a regular expression: {error}") from error
