"""Bring docs/from_least_squares.md to a new run of `recon-monai gallery`: figures, table, and numbers in its text.

Run in the root of the repository:

    recon-monai gallery gallery --dataset_dir prepared/raw_test   # the folder of scripts/prepare_real_data.sh
    python scripts/update_gallery_page.py gallery [DOCS]

Numbers are found by the words around them, and written as the table has them; each change is printed. What the words
claim of them ("the best", "more than") is for a reader to check.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

PAGE, FOLDER = "from_least_squares.md", "from_least_squares"
RAW = "raw_brain16_ksp_16ch"
VOLUME = "built_in_volume"
SLICE = "built_in_slice"

FIGURES = {
    **{
        name: f"panels/{name}/total_variation.png" for name in ("denoising", "inpainting", "deblurring", "downsampling")
    },
    **{
        name: f"panels/{VOLUME}/{name}.png"
        for name in ("mdcsrn", "mdcsrn_wgan_gp", "residual_unet", "pixel_shuffle", "progressive", "back_projection")
    },
    "losses": "losses.png",
    "raw_weighted_dircn": f"panels/{RAW}/weighted_dircn.png",
    "raw_l1_wavelet": f"panels/{RAW}/l1_wavelet.png",
}
"""Name on the page to picture in the gallery; those of the built-in slice have the names of their methods."""

# The words with {} where a number stands, then for each of them problem, method and measure of its row.
NUMBERS: list[tuple[str, list[tuple[str, str, str]]]] = [
    ("shows what the samples alone say: {} dB", [(SLICE, "zero_filled", "psnr")]),
    ("both give the same numbers ({} dB)", [(SLICE, "cg_sense", "psnr")]),
    ("nothing over the image ({} dB)", [(SLICE, "tikhonov_gradient", "psnr")]),
    (
        "fills them ({} dB instead of {} in",
        [("inpainting", "tikhonov_gradient", "psnr"), ("inpainting", "tikhonov", "psnr")],
    ),
    ("best of what is written down ({} dB)", [(SLICE, "total_variation", "psnr")]),
    ("edges stay ({} dB)", [(SLICE, "l1_wavelet", "psnr")]),
    ("Folded edges are learned as well: {} dB", [(SLICE, "dictionary", "psnr")]),
    ("and {} dB is hardly more than least squares has", [(SLICE, "plug_and_play", "psnr")]),
    ("steps of training it has SSIM {} and {} dB", [(SLICE, "unrolled", "ssim"), (SLICE, "unrolled", "psnr")]),
    ("got as far as {} dB", [(SLICE, "deep_image_prior", "psnr")]),
    ("no other head can be found: {} dB", [(SLICE, "manifold", "psnr")]),
    ("600 steps it has SSIM {}", [(SLICE, "image_unet", "ssim")]),
    ("one of all pixels: {} dB", [(SLICE, "kspace_network", "psnr")]),
    (
        "never saw these heads: SSIM {}, {} dB",
        [(SLICE, "universal_varnet", "ssim"), (SLICE, "universal_varnet", "psnr")],
    ),
    ("The best of the page: SSIM {}, {} dB", [(SLICE, "weighted_dircn", "ssim"), (SLICE, "weighted_dircn", "psnr")]),
    (
        "has {} dB and the best SSIM of the table, {}; the gradient {} and sinc interpolation {} dB",
        [
            (VOLUME, "total_variation", "psnr"),
            (VOLUME, "total_variation", "ssim"),
            (VOLUME, "tikhonov_gradient", "psnr"),
            (VOLUME, "sinc", "psnr"),
        ],
    ),
    (
        "never saw these heads: {} dB, SSIM {}",
        [(VOLUME, "mdcsrn_wgan_gp", "psnr"), (VOLUME, "mdcsrn_wgan_gp", "ssim")],
    ),
    ("trained 1000 steps on them: {} dB", [(VOLUME, "mdcsrn", "psnr")]),
    (
        "From {} dB before, L1, L2 and Huber come to {}, {} and {}.",
        [
            (VOLUME, "pixel_shuffle", "psnr"),
            ("losses", "loss_l1", "psnr"),
            ("losses", "loss_l2", "psnr"),
            ("losses", "loss_huber", "psnr"),
        ],
    ),
    ("pays for its smoothness ({})", [("losses", "loss_total_variation", "psnr")]),
    ("has the lowest SSIM ({})", [("losses", "loss_perceptual", "ssim")]),
    (
        "of the pixels below ({} dB; the gradient {})",
        [("inpainting", "total_variation", "psnr"), ("inpainting", "tikhonov_gradient", "psnr")],
    ),
    ("the best in PSNR ({} dB)", [("inpainting", "dictionary", "psnr")]),
    (
        "L1-wavelet and the gradient have the best PSNR ({}, {} and {} dB; weighted_dircn {})",
        [(RAW, method, "psnr") for method in ("plug_and_play", "l1_wavelet", "tikhonov_gradient", "weighted_dircn")],
    ),
    (
        "bundles the best SSIM ({} and {})",
        [(RAW, "weighted_dircn", "ssim"), (RAW, "universal_varnet", "ssim")],
    ),
    (
        "weighted_dircn leads in both ({}, {} dB)",
        [("raw_brain7_coil_images_7ch", "weighted_dircn", name) for name in ("ssim", "psnr")],
    ),
    ("least squares explodes ({} dB)", [("raw_brain16_ksp_2ch_bodycoil", "least_squares", "psnr")]),
    (
        "gains in PSNR ({} dB against {}), of the others only the small unrolled network ({}), and both bundles "
        "lose by far ({} and {} dB)",
        [
            ("raw_mouse_ksp_1ch_15slices", method, "psnr")
            for method in ("total_variation", "zero_filled", "unrolled", "universal_varnet", "weighted_dircn")
        ],
    ),
]

Row = Mapping[str, str]


def read_rows(path: Path) -> dict[tuple[str, str], Row]:
    """The rows of ``gallery.csv`` by problem and method."""
    with path.open(encoding="utf-8") as file:
        return {(row["problem"], row["method"]): row for row in csv.DictReader(file)}


def with_numbers(text: str, rows: Mapping[tuple[str, str], Row]) -> str:
    """The page with the numbers of the table.

    Args:
        text: of the page.
        rows: see `read_rows`.

    Returns:
        The text.

    Raises:
        ValueError: if words are not found once, or a row is missing or has failed.
    """
    for words, sources in NUMBERS:
        pattern = r"\s+".join(re.escape(word) for word in words.split()).replace(r"\{\}", r"(\d+\.\d+)")
        found = list(re.finditer(pattern, text))
        if len(found) != 1:
            raise ValueError(f"{words!r} stands {len(found)} times on the page, expected once; adapt NUMBERS to it")
        (match,) = found
        for group in reversed(range(len(sources))):
            start, end = match.span(group + 1)
            text = text[:start] + _number(rows, *sources[group]) + text[end:]
    return text


def _number(rows: Mapping[tuple[str, str], Row], problem: str, method: str, measure: str) -> str:
    row = rows.get((problem, method))
    if row is None or row["reason"]:
        reason = "is missing" if row is None else f"failed: {row['reason']}"
        raise ValueError(f"{method} on {problem} {reason}; run recon-monai gallery again")
    return f"{float(row[measure]):.{3 if measure == 'ssim' else 1}f}"


def update(gallery: Path, docs: Path) -> None:
    """Copy figures and table, and rewrite the numbers.

    Args:
        gallery: folder of a complete run.
        docs: folder of the page.

    Raises:
        ValueError: see `with_numbers`.
        FileNotFoundError: if the run lacks a figure.
    """
    page = docs / PAGE
    before = page.read_text(encoding="utf-8")
    after = with_numbers(before, read_rows(gallery / "gallery.csv"))
    sources = {path.stem: path for path in (gallery / "panels" / SLICE).glob("*.png")}
    sources |= {name: gallery / path for name, path in FIGURES.items()}
    for name, source in sorted(sources.items()):
        shutil.copy(source, docs / FOLDER / f"{name}.png")
    shutil.copy(gallery / "gallery.csv", docs / FOLDER / "gallery.csv")
    table = [
        line for line in (gallery / "gallery.md").read_text(encoding="utf-8").splitlines() if not line.startswith("![")
    ]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(table)).rstrip() + "\n"
    (docs / FOLDER / "gallery.md").write_text(text, encoding="utf-8")
    page.write_text(after, encoding="utf-8")
    for old, new in zip(before.splitlines(), after.splitlines(), strict=True):
        if old != new:
            print(f"- {old}\n+ {new}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python scripts/update_gallery_page.py GALLERY [DOCS]")
    update(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) == 3 else "docs"))
