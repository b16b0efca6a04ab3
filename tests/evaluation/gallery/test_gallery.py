"""The gallery: every method leaves a row, what is there is not computed again, and what fails costs nothing else."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon_monai.cli import main
from recon_monai.data import FastMRISliceDataset, read_split
from recon_monai.evaluation.gallery import (
    ALL_METHODS,
    IMAGE_METHODS,
    IMAGE_PROBLEMS,
    LOSSES,
    METHODS,
    SHIPPED_TUNING,
    GallerySettings,
    built_in_problem,
    make_gallery,
    make_image_problem,
    tuned_settings,
    volume_methods,
)
from recon_monai.evaluation.gallery import making as gallery_making
from recon_monai.evaluation.gallery.methods import Made, Method
from recon_monai.evaluation.gallery.report import Section
from recon_monai.evaluation.gallery.store import Result
from recon_monai.physics import ifft2c, rss

REAL_DATA = os.environ.get("RECON_MONAI_REAL_DATA", "")


def results(sections: list[Section]) -> dict[tuple[str, str], Result]:
    return {(result.problem, result.method): result for section in sections for result in section.results}


@pytest.mark.slow
def test_the_whole_family(heads: str, volumes: str, raw: Path, tiny: GallerySettings, tmp_path: Path) -> None:
    (raw / "broken.h5").unlink()
    output = tmp_path / "gallery"
    sections = make_gallery(output, heads, volumes, dataset_dir=raw, settings=tiny)
    found = results(sections)
    assert all(not result.reason and math.isfinite(result.nmse) for result in found.values())
    assert {method for problem, method in found if problem == "built_in_slice"} == set(METHODS)
    assert {method for problem, method in found if problem == "denoising"} == set(IMAGE_METHODS)
    assert {method for problem, method in found if problem == "built_in_volume"} == set(volume_methods())
    assert {method for problem, method in found if problem == "losses"} == set(LOSSES)
    assert len({result.nmse for (problem, _), result in found.items() if problem == "losses"}) == len(LOSSES)
    first, second = (f"raw_{path.stem}" for path in sorted(raw.iterdir()))
    slow = {name for name, method in METHODS.items() if method.slow}
    assert {method for problem, method in found if problem == first} == set(METHODS)
    assert {method for problem, method in found if problem == second} == set(METHODS) - slow
    for result in found.values():
        assert ("sample, at most 0.1 s" in result.note) == (result.method in slow), result
    for name in ("total_variation", "l1_wavelet", "tikhonov_gradient"):
        assert found["built_in_volume", name].nmse < found["built_in_volume", "trilinear"].nmse
    trained = {"image_unet", "unrolled", "kspace_network", "plug_and_play", "manifold", "mdcsrn"}
    assert all("trained 2 steps here" in result.note for result in found.values() if result.method in trained)
    assert all(result.note == "trained on for 2 steps here" for (_, name), result in found.items() if name in LOSSES)
    for section in sections:
        with Image.open(output / f"{section.name}.png") as picture:
            assert np.asarray(picture.convert("RGB")).std() > 10
    text = (output / "gallery.md").read_text()
    assert text.count("### ") == len(sections)
    assert "Slow methods (plug-and-play, deep image prior, manifold search) ran on the sample" in text
    with (output / "gallery.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(found)


def test_a_second_run_computes_only_what_is_missing(
    heads: str, tiny: GallerySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ["zero_filled", "cg_sense", "image_unet"]
    first = make_gallery(tmp_path, heads, methods=chosen, settings=tiny)
    weights = (tmp_path / "networks" / "image_unet.pt").read_bytes()
    (tmp_path / "results" / "built_in_slice" / "cg_sense.json").unlink()
    called: list[str] = []
    original = gallery_making.ResultStore._write

    def write(self: gallery_making.ResultStore, result: Result) -> None:
        called.append(result.method)
        original(self, result)

    monkeypatch.setattr(gallery_making.ResultStore, "_write", write)
    monkeypatch.setattr("recon_monai.evaluation.gallery.workshop.fit_reconstruction", None)
    again = make_gallery(tmp_path, heads, methods=chosen, settings=tiny)
    assert called == ["cg_sense"]
    assert (tmp_path / "networks" / "image_unet.pt").read_bytes() == weights
    for key, result in results(first).items():
        assert replace(results(again)[key], seconds=0.0) == replace(result, seconds=0.0)


def test_other_steps_train_anew(heads: str, tiny: GallerySettings, tmp_path: Path) -> None:
    make_gallery(tmp_path, heads, methods=["image_unet"], settings=tiny)
    longer = replace(tiny, steps={**tiny.steps, "image_unet": 3})
    (section, *_) = make_gallery(tmp_path, heads, methods=["image_unet"], settings=longer)
    assert section.results[0].note == "trained 3 steps here"
    assert json.loads((tmp_path / "networks" / "image_unet.json").read_text())["steps"] == 3


def test_what_fails_is_a_row_and_costs_nothing_else(
    heads: str, raw: Path, tiny: GallerySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_kspace: torch.Tensor, _mask: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no memory | left")

    def not_ready(*_given: object) -> Made:
        raise FileNotFoundError("no weights here")

    methods = {
        **METHODS,
        "unrolled": Method("unrolled", lambda _bench, _problem: Made(broken, "", "broken")),
        "image_unet": Method("image U-Net", not_ready),
        "kspace_network": Method(
            "NaN", lambda b, p: Made(lambda k, m: METHODS["zero_filled"].make(b, p).call(k, m) / 0, "", "")
        ),
    }
    monkeypatch.setattr(gallery_making, "METHODS", methods)
    chosen = ["zero_filled", "unrolled", "image_unet", "kspace_network", "cg_sense"]
    sections = make_gallery(tmp_path / "out", heads, dataset_dir=raw, methods=chosen, settings=tiny)
    found = results(sections)
    for problem in ("built_in_slice", "raw_brain-01_AXFLAIR", "raw_brain-02_AXT2"):
        assert found[problem, "unrolled"].reason == "RuntimeError: no memory | left"
        assert found[problem, "image_unet"].reason == "FileNotFoundError: no weights here"
        assert "not finite" in found[problem, "kspace_network"].reason
        assert not found[problem, "zero_filled"].reason
        assert not found[problem, "cg_sense"].reason
    assert found["raw_broken", "file"].reason
    text = (tmp_path / "out" / "gallery.md").read_text()
    assert "| unrolled | failed | | | | RuntimeError: no memory \\| left |" in text
    assert "Broken.h5: not used" in text
    monkeypatch.setattr(gallery_making, "METHODS", METHODS)
    again = make_gallery(tmp_path / "out", heads, methods=chosen, settings=tiny)  # failures are tried again
    assert not any(result.reason for result in results(again).values())


def test_measured_and_simulated_have_tables_of_their_own(
    heads: str, raw: Path, tiny: GallerySettings, tmp_path: Path
) -> None:
    import h5py

    (raw / "broken.h5").unlink()
    name = next(path for path in sorted(raw.iterdir()))
    shutil.copy(name.resolve(), raw / "measured.h5")
    with h5py.File(raw / "measured.h5", "a") as file:
        file.attrs["source"] = "measured"
    make_gallery(tmp_path / "out", heads, dataset_dir=raw, methods=["zero_filled"], settings=tiny)
    text = (tmp_path / "out" / "gallery.md").read_text()
    simulated, measured = text.index("## Simulated k-space"), text.index("## Measured k-space")
    assert simulated < text.index("### Brain-01_AXFLAIR.h5") < text.index("### Brain-02_AXT2.h5") < measured
    assert measured < text.index("### Measured.h5")


@pytest.mark.skipif(not REAL_DATA or not Path(REAL_DATA).is_dir(), reason="RECON_MONAI_REAL_DATA is not set")
def test_raw_kspace_of_a_scanner(heads: str, tiny: GallerySettings, tmp_path: Path) -> None:
    raw = Path(REAL_DATA) / "brain16_gre_pulseq" / "ksp_2ch_bodycoil.npy"
    words = ["--output", str(tmp_path / "raw"), "--anatomy", "brain", "--axes", "coil,phase,readout", "--split", "test"]
    main(["prepare", str(raw), *words])
    chosen = ["zero_filled", "tikhonov_gradient", "weighted_dircn"]
    options = {"dataset_dir": tmp_path / "raw", "anatomy": "brain", "methods": chosen, "settings": tiny}
    sections = make_gallery(tmp_path / "out", heads, **options)
    assert [section.group for section in sections].count("measured") == 1
    measured = {
        result.method: result for section in sections if section.group == "measured" for result in section.results
    }
    assert measured["weighted_dircn"].nmse < measured["zero_filled"].nmse
    assert set(measured) == set(chosen)


def test_the_built_in_slice_is_held_out(heads: str, tiny: GallerySettings) -> None:
    problem = built_in_problem(heads, tiny)
    assert problem.file in {path.name for path in read_split(heads, "test")}
    ((item,),) = [FastMRISliceDataset([path]) for path in read_split(heads, "test") if path.name == problem.file]
    torch.testing.assert_close(problem.target, item["target"])
    torch.testing.assert_close(problem.kspace, item["kspace"] * problem.mask)
    torch.testing.assert_close(problem.fit(rss(ifft2c(item["kspace"]))[None]), item["target"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", IMAGE_PROBLEMS)
def test_problems_beside_mri_are_data_of_their_operator(name: str, heads: str, tiny: GallerySettings) -> None:
    target = built_in_problem(heads, tiny).target
    problem = make_image_problem(name, target, 0, "a")
    residual = problem.data - problem.operator.forward(problem.target[None])
    seen = problem.operator.forward(torch.ones_like(problem.target[None])) != 0
    assert float(residual[seen].std()) == pytest.approx(IMAGE_PROBLEMS[name].noise, rel=0.1)
    assert not bool(residual[~seen].any())
    assert float(problem.target.max()) == 1
    assert problem.key == make_image_problem(name, target, 0, "a").key
    assert problem.key != make_image_problem(name, target, 1, "a").key


@pytest.mark.parametrize("method", [path.stem for path in sorted(SHIPPED_TUNING.glob("*.json"))])
def test_shipped_settings_are_the_best_of_their_table(method: str) -> None:
    content = json.loads((SHIPPED_TUNING / f"{method}.json").read_text())
    table = content[f"{method}_tuning"]["table"]["4"]
    best = min(table, key=lambda row: row["nmse"])
    settings = tuned_settings(method, 4)
    assert settings == {name: best[name] for name in ("maps", "weight", "iterations")}


def test_what_was_not_tuned_says_how(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"make it with recon-monai tune tikhonov"):
        tuned_settings("tikhonov", 4, tmp_path)
    with pytest.raises(ValueError, match=r"has settings for \['4'\], expected 8"):
        tuned_settings("tikhonov", 8)


def test_unknown_methods_and_settings_are_refused(heads: str, tiny: GallerySettings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"methods hold \[\"magic\"\], expected some of zero_filled"):
        make_gallery(tmp_path, heads, methods=["magic"], settings=tiny)
    with pytest.raises(ValueError, match="time_limit is -1"):
        replace(tiny, time_limit=-1)
    with pytest.raises(ValueError, match="steps are given for"):
        replace(tiny, steps={})
    with pytest.raises(ValueError, match="holds no file of k-space"):
        make_gallery(tmp_path, heads, dataset_dir=tmp_path, methods=["zero_filled"], settings=tiny)
    assert set(IMAGE_METHODS) <= set(ALL_METHODS)
