"""A comparison's numbers, folder and resumption."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from comparing_data import tiny_bundle, write_scan, write_volume

from recon_monai.data import FastMRISliceDataset, write_split
from recon_monai.evaluation.comparing import ComparisonSettings, compare_methods, parse_method
from recon_monai.evaluation.comparing import running as running_module
from recon_monai.evaluation.comparing.measures import volume_numbers
from recon_monai.evaluation.comparing.slice_methods import _ZeroFilledMethod
from recon_monai.evaluation.comparing.volume_labels import VolumeLabels
from recon_monai.evaluation.comparing.volumes import VolumeReader, find_volume_cases, make_volume_method
from recon_monai.evaluation.report import read_comparison, write_report
from recon_monai.evaluation.uncertainty import estimate_noise
from recon_monai.metrics import ssim
from recon_monai.physics import center_crop_or_pad, fft2c, ifft2c
from recon_monai.transforms import Undersampled

FOURFOLD = ComparisonSettings(accelerations=(4,), center_fractions=(0.16,), downstream=False)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated files, a measured one, and one that is damaged."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(2):
        write_scan(folder / f"sim{number}.h5", number)
    write_scan(folder / "raw.h5", 7, source="measured", slices=1, coils=1)
    (folder / "broken.h5").write_bytes(b"nothing")
    subjects = {"sim0.h5": "a", "sim1.h5": "b", "raw.h5": "c", "broken.h5": "d"}
    write_split(folder, subjects, fractions=(0, 0, 1))
    return folder


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    for number in range(3):
        write_volume(folder / f"sub-{number}_T1w.nii.gz", number)
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, scans: Path):
    folder = tmp_path_factory.mktemp("compared")
    done = compare_methods(folder, ["zero_filled", "cg_sense"], [scans], FOURFOLD)
    return folder, done, json.loads((folder / "comparison.json").read_text())


def evaluated(parser) -> dict[tuple[str, str, str], dict[str, str]]:
    """Rows of the table that a bundle's own evaluation writes, by file, acceleration or recipe, and method."""
    parser.get_parsed_content("imports")
    parser.get_parsed_content("evaluator").run()
    with (Path(parser["output_dir"]) / "volumes.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {(row["file"], row.get("recipe", row.get("acceleration")), row["method"]): row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["universal_varnet", "weighted_dircn"])
def test_numbers_are_those_of_the_evaluation_of_the_bundle(tmp_path, scans, name):
    method, parser = tiny_bundle(tmp_path, name)
    parser["dataset_dir"], parser["skip_bad"] = str(scans), True
    parser["accelerations"], parser["center_fractions"] = [4], [0.16]
    wanted = evaluated(parser)
    done = compare_methods(tmp_path / "out", [method], [scans], FOURFOLD)
    rows = [row for row in done.rows if row["failure"] is None]
    assert len(rows) == 3
    for row in rows:
        theirs = wanted[row["file"], str(row["acceleration"]), "reconstruction"]
        for metric in ("ssim", "psnr", "nmse", "foreground_ssim"):
            assert row[metric] == pytest.approx(float(theirs[metric]), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("block", [None, 12])
def test_numbers_of_volumes_are_those_of_the_evaluation_of_the_bundle(tmp_path, volumes, block):
    method, parser = tiny_bundle(tmp_path, "mdcsrn_wgan_gp")
    parser["dataset_dir"], parser["split"], parser["cache"] = str(volumes), "all", False
    recipes = ["inplane2", "isotropic2", "thick4mm"]
    parser["test_recipes"], parser["slice_axis"], parser["block"] = recipes, 2, block or -1
    wanted = evaluated(parser)
    settings = ComparisonSettings(recipes=tuple(recipes), split="all", shown_slices=4, block=block)
    done = compare_methods(tmp_path / "out", [method, "trilinear", "cubic", "sinc"], [volumes], settings)
    assert len(done.rows) == len(wanted) == 36 and done.failed == 0
    for row in done.rows:
        name = "super-resolution" if row["method"] == "mdcsrn_wgan_gp" else row["method"]
        theirs = wanted[row["file"], row["acceleration"], name]
        for metric in ("ssim", "psnr", "sharpness"):
            assert row[metric] == pytest.approx(float(theirs[metric]), rel=1e-6)
        assert row["nmse"] == pytest.approx(float(theirs["nrmse"]) ** 2, rel=1e-6)


@pytest.mark.parametrize("recipe", ["inplane2", "isotropic2"])
def test_all_methods_for_volumes_start_from_the_same_coarse_magnitudes(volumes, recipe):
    """Oracle: sums of Fourier series, written out."""
    settings = ComparisonSettings(recipes=(recipe,), split="all", max_files=1)
    reader = VolumeReader(find_volume_cases(volumes, settings)[0], settings, VolumeLabels(None, None))
    made = {name: make_volume_method(parse_method(name), settings) for name in ("sinc", "total_variation_3d")}
    image = made["total_variation_3d"].prepare(reader)["image"][0].numpy()
    np.testing.assert_allclose(made["sinc"].resolve(reader.item)[0].numpy(), image, atol=1e-5)
    expected, found = reader.target.numpy(), image
    for axis in (0, 1) if recipe == "inplane2" else (0, 1, 2):
        size = expected.shape[axis]
        places = 2 * np.arange(size // 2) + 0.5
        waves = np.exp(2j * np.pi * np.fft.fftfreq(size) * places[:, None]) @ np.fft.fft(np.eye(size)) / size
        weights = np.select(
            [abs(np.fft.fftfreq(size)) < 0.25 - 1e-9, abs(np.fft.fftfreq(size)) < 0.25 + 1e-9], [1, 0.5]
        )
        low = np.fft.ifft(weights[:, None] * np.fft.fft(np.eye(size), axis=0), axis=0).real
        expected = np.moveaxis(np.tensordot(waves.real @ low, expected, (1, axis)), 0, axis)
        found = np.moveaxis(np.tensordot(waves.real, found, (1, axis)), 0, axis)
        beyond = abs(np.fft.fftfreq(size)) > 0.25 + 1e-9
        assert abs(np.fft.fft(image, axis=axis).compress(beyond, axis)).max() < 1e-3
    np.testing.assert_allclose(found, abs(expected), atol=1e-4)


def test_total_variation_agrees_with_the_samples_better_than_it_smooths(tmp_path, volumes):
    settings = ComparisonSettings(recipes=("inplane2", "thick4mm"), split="all", max_files=1, shown_slices=4)
    rows = compare_methods(tmp_path, ["sinc", "total_variation_3d"], [volumes], settings).rows
    found = {(row["acceleration"], row["method"]): row for row in rows}
    assert found["inplane2", "total_variation_3d"]["psnr"] > found["inplane2", "sinc"]["psnr"]
    assert "tuned for inplane2, isotropic2" in found["thick4mm", "total_variation_3d"]["failure"]


def test_the_middle_of_volumes_is_measured_alone_as_a_crop_of_the_whole_would_be(tmp_path, volumes):
    settings = ComparisonSettings(recipes=("inplane2",), split="all", max_files=1, shown_slices=4)
    done = {
        block: compare_methods(tmp_path / str(block), ["sinc"], [volumes], replace(settings, block=block)).rows[0]
        for block in (None, 12)
    }
    with (
        h5py.File(tmp_path / "12" / done[12]["images"]) as file,
        h5py.File(tmp_path / "None" / done[None]["images"]) as all_,
    ):
        assert file["target"].shape == (4, 12, 12) and file.attrs["first_slice"] == all_.attrs["first_slice"]
        whole, middle = (one["methods/sinc"][()] for one in (all_, file))
    np.testing.assert_array_equal(middle, center_crop_or_pad(torch.from_numpy(whole), (12, 12)).numpy())
    assert done[12]["ssim"] != done[None]["ssim"] and "middle 12 voxels" in done[12]["convention"]
    with pytest.raises(ValueError, match="block is 3, expected"):
        replace(settings, block=3)


def test_volumes_are_grouped_by_what_names_and_files_beside_them_say(tmp_path, volumes):
    data = tmp_path / "data"
    shutil.copytree(volumes, data)
    (data / "sub-1_T1w.nii.gz").rename(data / "scan.nii.gz")
    (data / "scan.json").write_text('{"SeriesDescription": "Ax T2 FLAIR", "BodyPartExamined": "HEAD"}')
    (data / "sub-2_T1w.nii.gz").write_bytes(b"nothing")
    settings = ComparisonSettings(recipes=("inplane2", "isotropic2"), split="all", shown_slices=4)
    compare_methods(tmp_path / "out", ["trilinear", "cubic"], [data], settings)
    content = json.loads((tmp_path / "out" / "comparison.json").read_text())
    found = {row["file"]: (row["data"], row["anatomy"], row["contrast"]) for row in content["rows"]}
    assert found == {
        "scan.nii.gz": ("volume", "head", "FLAIR"),
        "sub-0_T1w.nii.gz": ("volume", None, "T1"),
        "sub-2_T1w.nii.gz": ("unreadable", None, None),
    }
    assert list(dict.fromkeys(entry["group"] for entry in content["differences"])) == [
        "inplane2 · T1", "isotropic2 · T1", "head · inplane2 · FLAIR", "head · isotropic2 · FLAIR",
        "all anatomies · inplane2 · all contrasts", "all anatomies · isotropic2 · all contrasts",
    ]  # fmt: skip
    bad = [row for row in content["rows"] if row["data"] == "unreadable"]
    assert [row["method"] for row in bad] == ["trilinear", "cubic"] and "sub-2_T1w.nii.gz" in bad[0]["failure"]
    again = compare_methods(tmp_path / "out", ["cubic"], [data], replace(settings, anatomy="brain"))
    assert {row["anatomy"] for row in again.rows if row["data"] == "volume"} == {"brain"} and again.computed == 4


def test_simulated_and_measured_files_stay_apart(compared):
    _, _, content = compared
    kinds = {row["file"]: row["data"] for row in content["rows"]}
    assert kinds == {"sim0.h5": "simulated", "sim1.h5": "simulated", "raw.h5": "raw", "broken.h5": "unreadable"}
    for entry in content["differences"]:
        assert entry["files"] == (2 if entry["data"] == "simulated" else 1)
        assert (entry["low"] is None) == (entry["data"] == "raw")


def test_rows_of_both_tables_say_their_convention(compared):
    folder, _, content = compared
    with (folder / "comparison.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(content["rows"]) == 8
    for row, flat in zip(content["rows"], rows, strict=True):
        assert flat["convention"] == (row["convention"] or "")
        assert (row["convention"] is None) == (row["data"] == "unreadable")
    said = next(row["convention"] for row in rows if row["data"] == "simulated")
    assert "7x7 window" in said and "data range = volume maximum" in said


def test_foreground_ssim_of_a_volume_is_that_of_its_slices_without_the_air_around():
    """Noise of the air changes the SSIM, and not that of the foreground."""
    place = torch.linspace(-1, 1, 96)
    radius = (place[:, None, None] ** 2 + place[None, :, None] ** 2).expand(96, 96, 8)
    target = torch.where(radius < 0.25, 0.6 + 0.3 * torch.cos(9 * radius), 0)
    noise = torch.rand(target.shape, generator=torch.Generator().manual_seed(0)) * 0.2 * (radius > 0.4)
    found = volume_numbers(target + noise, target)
    assert found["foreground_ssim"] == pytest.approx(1, abs=1e-6) and found["ssim"] < 0.7
    blurred = volume_numbers(0.9 * target, target)
    wanted = ssim(prediction=(0.9 * target).permute(2, 0, 1), target=target.permute(2, 0, 1), data_range=1.0)
    assert blurred["foreground_ssim"] == pytest.approx(wanted, rel=1e-6)  # its air is 0 with and without a mask


def test_paired_difference_is_the_mean_over_subjects(compared):
    _, _, content = compared
    gains = [
        next(row["psnr"] for row in content["rows"] if (row["file"], row["method"]) == (file, "cg_sense"))
        - next(row["psnr"] for row in content["rows"] if (row["file"], row["method"]) == (file, "zero_filled"))
        for file in ("sim0.h5", "sim1.h5")
    ]
    entry = next(one for one in content["differences"] if one["metric"] == "psnr" and one["data"] == "simulated")
    assert (entry["method"], entry["base"]) == ("cg_sense", "zero_filled")
    assert entry["mean"] == pytest.approx(np.mean(gains))
    assert entry["low"] == pytest.approx(min(gains)) and entry["high"] == pytest.approx(max(gains))


def test_a_file_that_cannot_be_read_is_a_row_with_the_reason(compared):
    folder, done, content = compared
    broken = [row for row in content["rows"] if row["file"] == "broken.h5"]
    assert [row["method"] for row in broken] == ["zero_filled", "cg_sense"]
    assert all("broken.h5" in row["failure"] for row in broken) and done.failed == 2
    page = write_report(folder, folder / "page.html").path.read_text(encoding="utf-8")
    assert page.count(broken[0]["failure"].replace("'", "&#39;")) == 1
    assert "<caption>1 file that cannot be opened" in page
    assert not any(row["data"] == "unreadable" for row in content["differences"])


def test_images_give_the_numbers_of_the_table_again(compared):
    folder, _, content = compared
    for row in content["rows"]:
        if row["failure"] is None:
            with h5py.File(folder / row["images"]) as file:
                image, target = file[f"methods/{row['method']}"][()], file["target"][()]
                assert set(file["residual"]) == set(file["null_space"]) == {"zero_filled", "cg_sense"}
            assert ssim(prediction=image, target=target) == pytest.approx(row["ssim"], rel=1e-6)


def test_the_report_reads_the_folder_and_the_csv_has_all_rows(compared):
    folder, _, content = compared
    read = read_comparison(folder)
    assert len(read.rows) == len(content["rows"]) == 8
    with (folder / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["psnr"] for row in rows] == ["" if row["psnr"] is None else str(row["psnr"]) for row in content["rows"]]
    assert all("not for diagnosis" in row["notice"] for row in rows)


def test_null_space_error_of_one_coil_is_the_error_outside_the_mask(compared, scans):
    """Oracle: what zero-filling gets wrong of a magnitude with the target's phase, on the lines that were left out."""
    _, _, content = compared
    (raw,) = FastMRISliceDataset([scans / "raw.h5"], accelerations=[4])
    item = Undersampled(FOURFOLD.sampling())(raw)
    images = ifft2c(raw["kspace"])[:, 20:60]
    target, kspace = images.abs(), fft2c(images)
    magnitude = ifft2c(kspace * item["mask"]).abs()
    # the sign of the coil map is the phase of its low resolution: it turns error and target alike
    error = fft2c((magnitude - target) * images / target)
    unseen = torch.linalg.vector_norm(error * ~item["mask"]) / torch.linalg.vector_norm(target)
    rows = {(row["file"], row["method"]): row for row in content["rows"]}
    found = rows["raw.h5", "zero_filled"]
    assert found["null_space_error"] == pytest.approx(float(unseen), rel=0.1)
    assert found["kspace_residual_target"] < 0.1 < found["kspace_residual"]


def test_a_second_run_computes_only_what_is_new(compared, scans, caplog):
    folder, _, before = compared
    with caplog.at_level(logging.INFO, "recon_monai.evaluation.comparing"):
        done = compare_methods(folder, ["zero_filled", "cg_sense", "tikhonov"], [scans], FOURFOLD)
    assert done.computed == 3
    rows = {(row["file"], row["method"]): row for row in done.rows}
    assert all(rows[row["file"], row["method"]] == row for row in before["rows"])
    with h5py.File(folder / rows["sim0.h5", "tikhonov"]["images"]) as file:
        assert set(file["methods"]) == {"zero_filled", "cg_sense", "tikhonov"}


def test_a_method_that_fails_on_a_file_costs_no_other(tmp_path, scans, monkeypatch):
    original = running_module.reconstruct_case

    def fails_once(method, reader, settings):
        if method.record.name == "zero_filled" and reader.fields["file"] == "sim1.h5":
            raise RuntimeError("out of\nmemory")
        return original(method, reader, settings)

    monkeypatch.setattr(running_module, "reconstruct_case", fails_once)
    done = compare_methods(tmp_path, ["zero_filled", "cg_sense"], [scans], FOURFOLD)
    failed = [row for row in done.rows if row["failure"] and row["file"] != "broken.h5"]
    assert [(row["file"], row["method"]) for row in failed] == [("sim1.h5", "zero_filled")]
    assert failed[0]["failure"] == "RuntimeError: out of memory" and failed[0]["anatomy"] == "brain"
    monkeypatch.undo()
    again = compare_methods(tmp_path, ["zero_filled", "cg_sense"], [scans], FOURFOLD)
    assert again.computed == 1 and all(row["failure"] is None for row in again.rows if row["file"] != "broken.h5")


def test_what_a_method_does_once_is_in_no_row(tmp_path, scans, monkeypatch):
    original, calls = _ZeroFilledMethod.call, []

    def slow_at_first(method, item):
        time.sleep(0 if calls else 2)
        calls.append(item["file"])
        return original(method, item)

    monkeypatch.setattr(_ZeroFilledMethod, "call", slow_at_first)
    settings = replace(FOURFOLD, consistency=False, max_slices=1)
    rows = compare_methods(tmp_path, ["zero_filled"], [scans], settings).rows
    assert len(calls) == 4 and all(row["seconds"] < 1 for row in rows if row["data"] != "unreadable")


def test_what_was_done_before_an_interrupt_is_kept(tmp_path, scans, monkeypatch):
    original = running_module.reconstruct_case

    def interrupted(method, reader, settings):
        if reader.fields["file"] == "sim1.h5":
            raise KeyboardInterrupt
        return original(method, reader, settings)

    monkeypatch.setattr(running_module, "reconstruct_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compare_methods(tmp_path, ["zero_filled"], [scans], FOURFOLD)
    done = {row.file for row in read_comparison(tmp_path).rows if row.failure is None}
    assert done == {"raw.h5", "sim0.h5"}
    monkeypatch.undo()
    assert compare_methods(tmp_path, ["zero_filled"], [scans], FOURFOLD).computed == 1


def test_the_noise_bootstrap_gives_the_spread_of_a_linear_method(tmp_path, scans):
    """One coil, zero-filled: away from 0 the magnitude spreads by the noise of one part, less what is not sampled."""
    settings = replace(FOURFOLD, bootstrap=24, consistency=False, max_files=1)
    done = compare_methods(tmp_path, ["zero_filled"], [scans], settings)
    row = next(row for row in done.rows if row["file"] == "raw.h5")
    with h5py.File(tmp_path / row["images"]) as file:
        spread, target = file["spread/zero_filled"][0], file["target"][0]
    (raw,) = FastMRISliceDataset([scans / "raw.h5"], accelerations=[4])
    item = Undersampled(FOURFOLD.sampling())(raw)
    power = float(estimate_noise(item["kspace"], item["mask"]).covariance[0, 0].real)
    expected = np.sqrt(power / 2 / row["effective_acceleration"])
    assert np.median(spread[target > 0.5 * target.max()]) == pytest.approx(expected, rel=0.15)
    curve = row["calibration"]
    assert len(curve["spread"]) == len(curve["error"]) == len(curve["counts"]) and curve["slope"] > 1


def test_a_mask_that_a_bundle_changes_is_a_failure(tmp_path, scans):
    method, parser = tiny_bundle(tmp_path, "universal_varnet")
    configs = Path(parser["bundle_root"]) / "configs"
    fixed = {"_target_": "recon_monai.physics.create_mask", "kind": "random"}
    own = {**fixed, "center_fractions": [0.2], "accelerations": [4]}
    (configs / "own.json").write_text(json.dumps({"preprocessing::transforms::0::mask": own}))
    rows = compare_methods(tmp_path / "out", [f"{method}+own.json"], [scans], FOURFOLD).rows
    assert {"another mask" in row["failure"] for row in rows if row["file"] != "broken.h5"} == {True}


def test_a_bundle_without_weights_is_refused_before_anything_is_computed(tmp_path, scans):
    method, parser = tiny_bundle(tmp_path, "universal_varnet")
    (Path(parser["bundle_root"]) / "models" / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"method universal_varnet: .*weights"):
        compare_methods(tmp_path / "out", ["zero_filled", method], [scans], FOURFOLD)
    assert not (tmp_path / "out").exists()


def test_methods_are_refused_for_the_wrong_data(tmp_path, scans, volumes):
    with pytest.raises(ValueError, match="holds volumes, and none of the methods zero_filled is for volumes"):
        compare_methods(tmp_path, ["zero_filled"], [volumes], FOURFOLD)
    with pytest.raises(ValueError, match="each name once"):
        compare_methods(tmp_path, ["zero_filled", "zero_filled"], [scans], FOURFOLD)


def test_words_for_methods(tmp_path):
    _, parser = tiny_bundle(tmp_path, "universal_varnet")
    folder = Path(parser["bundle_root"])
    assert parse_method("mine=cg_sense").name == "mine"
    whole = parse_method(f"{folder}+tiny.json@{folder / 'models' / 'model.pt'}")
    assert (whole.name, whole.checkpoint) == ("universal_varnet-tiny-models", folder / "models" / "model.pt")
    assert parse_method(str(folder / "models" / "model.pt")).folder == folder
    with pytest.raises(ValueError, match=r"method 'varnet' is unknown.*cg_sense"):
        parse_method("varnet")
    with pytest.raises(ValueError, match=r"no file of weights nothing\.pt"):
        parse_method(f"{folder}@nothing.pt")
