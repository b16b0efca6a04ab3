"""Which anatomy was taken for which: tables of a classifier's decisions."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from recon_monai import distributed
from recon_monai.data import atomic_path
from recon_monai.engines.classification import check_names
from recon_monai.handlers.decisions import DecisionHandler, FileDecision, decided, files_of

__all__ = ["ConfusionReport"]

_MOST_NAMED = 200


class ConfusionReport(DecisionHandler):
    """Writes ``confusion.csv`` and ``confusion.md`` at the end of an evaluator's epoch.

    Rows are the true anatomies, columns the decisions; slices are counted, and files (at one acceleration) by the
    largest mean log-probability of their slices. ``confusion.md`` also names the files decided wrongly or unsurely.
    The files of the epoch before are replaced; of several processes the main one writes what all of them saw.

    Args:
        output_dir: the folder, made if missing.
        anatomies: names of the anatomies in the order of the classifier's outputs.
        certainty: a file is unsure where the probability of its anatomy (exponential of the mean log-probability) is
            below this, or a slice of it was decided wrongly.

    Raises:
        ValueError: if names are not different, or ``certainty`` is no probability.
    """

    def __init__(self, output_dir: str | Path, anatomies: Sequence[str], certainty: float = 0.9) -> None:
        super().__init__()
        if not 0 <= certainty <= 1:
            raise ValueError(f"certainty is {certainty}, expected a probability between 0 and 1")
        self.folder = Path(output_dir)
        self.anatomies = check_names(anatomies)
        self.certainty = certainty

    def finish(self, engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
        """Write the tables.

        Raises:
            ValueError: if the classifier has another number of outputs than there are names.
        """
        outputs = len(rows[0]["log_probabilities"])
        if outputs != len(self.anatomies):
            raise ValueError(
                f"the classifier has {outputs} outputs and the report {len(self.anatomies)} names "
                f"({', '.join(self.anatomies)}); give one name for each output"
            )
        if not distributed.is_main():
            return
        files = files_of(rows)
        tables = {
            "slices": self._count([(row["truth"], decided(row)) for row in rows]),
            "files": self._count([(file.truth, file.decision) for file in files]),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            atomic_path(self.folder / "confusion.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as out,
        ):
            writer = csv.writer(out)
            writer.writerow(["counted", "truth", *self.anatomies])
            for name, table in tables.items():
                writer.writerows([name, truth, *counts] for truth, counts in zip(self.anatomies, table, strict=True))
        with atomic_path(self.folder / "confusion.md") as temporary:
            temporary.write_text(self._text(engine, tables, files), encoding="utf-8")

    def _count(self, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
        names = range(len(self.anatomies))
        return [[pairs.count((truth, decision)) for decision in names] for truth in names]

    def _text(self, engine: Engine, tables: dict[str, list[list[int]]], files: Sequence[FileDecision]) -> str:
        lines = [
            "# Decisions of the anatomy classifier",
            "",
            f"Epoch {engine.state.epoch}. Rows: truth, columns: decision.",
        ]
        for name, table in tables.items():
            total, right = sum(map(sum, table)), sum(table[i][i] for i in range(len(table)))
            lines += ["", f"## {name.capitalize()}: {right} of {total} right ({right / total:.2%})", ""]
            lines += _markdown(["", *self.anatomies], [[a, *c] for a, c in zip(self.anatomies, table, strict=True)])
        wrong = [file for file in files if file.decision != file.truth]
        unsure = [file for file in files if file.decision == file.truth and self._is_unsure(file)]
        for title, chosen in ((f"Wrong files: {len(wrong)}", wrong), (f"Unsure files: {len(unsure)}", unsure)):
            lines += ["", f"## {title}", ""]
            lines += self._named(chosen) if chosen else ["None."]
        return "\n".join(lines) + "\n"

    def _is_unsure(self, file: FileDecision) -> bool:
        return file.probability < self.certainty or file.right < file.slices

    def _named(self, files: Sequence[FileDecision]) -> list[str]:
        header = ["file", "truth", "decision", "probability of the truth", "slices right"]
        order = sorted(files, key=lambda file: file.probability)
        rows = [
            [
                str(file.key),
                self.anatomies[file.truth],
                self.anatomies[file.decision],
                f"{file.probability:.3f}",
                f"{file.right} of {file.slices}",
            ]
            for file in order[:_MOST_NAMED]
        ]
        left_out = len(files) - len(rows)
        return _markdown(header, rows) + (["", f"{left_out} more are not shown."] if left_out else [])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    table = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in table]
