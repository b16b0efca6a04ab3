"""From files to files; generators are stand-ins: the identity, one convolution, one that breaks."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from recon_monai import RESEARCH_NOTICE
from recon_monai.engines import SuperResolver, differences_from_training, output_grid, super_resolution_domain
from recon_monai.inferers import MarginTrimInferer, SeamlessInferer
from recon_monai.physics import Grid

COS, SIN = np.cos(0.4), np.sin(0.4)
TURN = np.array([[COS, -SIN, 0], [SIN, COS, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, COS, SIN], [0, -SIN, COS]])


def affine_of(axes: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = axes @ np.diag(spacing)
    matrix[:3, 3] = (-91.3, 126.7, -72.1)
    return matrix.astype(np.float32).astype(np.float64)  # as a header can hold it


AFFINES = {
    "plain": affine_of(np.eye(3), (1.0, 1.0, 3.0)),
    "flipped": affine_of(np.diag([-1.0, 1.0, -1.0]), (0.9, 1.1, 2.0)),
    "permuted": affine_of(np.eye(3)[[2, 0, 1]], (0.8, 0.8, 4.0)),
    "oblique": affine_of(TURN, (0.7, 0.9, 2.5)),
    "oblique-flipped": affine_of(TURN @ np.diag([1.0, -1.0, 1.0]), (1.2, 0.9, 1.7)),
}


def brain(shape: tuple[int, int, int] = (15, 18, 11), seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (ndimage.gaussian_filter(rng.random(shape), 0.7) * 1000).astype(np.float32)


def save(path: Path, data: np.ndarray, affine: np.ndarray | None = None, code: int = 1) -> Path:
    image = nibabel.Nifti1Image(data, AFFINES["plain"] if affine is None else affine)
    image.set_sform(image.affine, code)
    image.set_qform(image.affine, code)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def resolver(network: nn.Module | None = None, **settings: Any) -> SuperResolver:
    settings = {"inferer": SeamlessInferer(12), **settings}
    return SuperResolver(nn.Identity() if network is None else network, **settings)


@pytest.mark.parametrize("name", AFFINES)
def test_an_identity_generator_gives_the_volume_back(tmp_path: Path, name: str) -> None:
    data = brain()
    path = save(tmp_path / "case_T1w.nii.gz", data, AFFINES[name])
    for inferer in (SeamlessInferer(8), MarginTrimInferer(9, 2)):
        (made,) = resolver(inferer=inferer).run(path, tmp_path / "out", factor=1, overwrite=True)
        image = nibabel.load(made.image)
        np.testing.assert_allclose(image.get_fdata(), data, rtol=2e-6, atol=1e-6 * data.max())
        np.testing.assert_array_equal(image.affine, AFFINES[name])
        assert np.abs(nibabel.load(made.difference).get_fdata()).max() < 1e-6 * data.max()


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("grid", [{"factor": 2}, {"factor": [1, 1.5, 3]}, {"target_spacing": 0.7}])
def test_the_grid_is_exact(tmp_path: Path, name: str, grid: dict[str, Any]) -> None:
    """The middle stays, and so do the edges with a factor, or the voxel size with a spacing; all axes too."""
    affine = AFFINES[name]
    path = save(tmp_path / "case.nii.gz", brain(), affine)
    (made,) = resolver().run(path, tmp_path / "out", **grid)
    image = nibabel.load(made.image)
    record = json.loads(made.record.read_text())
    old, new = np.array(brain().shape), np.array(image.shape)
    for found, tolerance in ((np.array(record["output"]["affine"]), 1e-9), (image.affine, 1e-6 * 130)):
        steps = np.linalg.norm(found[:3, :3], axis=0)
        np.testing.assert_allclose(
            found[:3, :3] / steps, affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0), atol=1e-6
        )
        middles = [m[:3, :3] @ ((n - 1) / 2) + m[:3, 3] for m, n in ((found, new), (affine, old))]
        np.testing.assert_allclose(*middles, atol=tolerance)
        if "factor" in grid:
            np.testing.assert_allclose(found[:3, :3] * new, affine[:3, :3] * old, atol=max(tolerance, 1e-6) * 10)
        else:
            np.testing.assert_allclose(steps, 0.7, atol=1e-6)
    np.testing.assert_allclose(image.header.get_zooms(), record["output"]["spacing_mm"], rtol=0, atol=1e-6)
    qform, code = image.get_qform(coded=True)
    assert code == 1
    np.testing.assert_allclose(qform, image.affine, atol=2e-4)  # a quaternion in float32


def test_plain_interpolation_is_scipys_and_the_difference_that_to_it(tmp_path: Path) -> None:
    data = brain((9, 10, 12))
    path = save(tmp_path / "case.nii.gz", data)
    wanted = ndimage.zoom(data.astype(np.float64), 2, order=3, grid_mode=True, mode="reflect")
    (made,) = resolver(interpolation="cubic").run(path, tmp_path / "out", factor=2)
    np.testing.assert_allclose(nibabel.load(made.image).get_fdata(), wanted, atol=1e-5 * data.max())
    network = nn.Conv3d(1, 1, 1)
    with torch.no_grad():
        network.weight.fill_(1.25)
        network.bias.fill_(0.1)  # of the intensity scale
    (made,) = resolver(network, interpolation="cubic").run(path, tmp_path / "out", factor=2, overwrite=True)
    scale = float(np.percentile(data, 99.9))
    image, difference = (nibabel.load(file).get_fdata() for file in (made.image, made.difference))
    np.testing.assert_allclose(image, 1.25 * wanted + 0.1 * scale, atol=1e-5 * data.max())
    np.testing.assert_allclose(difference, 0.25 * wanted + 0.1 * scale, atol=2e-5 * data.max())
    record = json.loads(made.record.read_text())
    assert record["intensity_scale"] == pytest.approx(scale, rel=1e-6)
    assert record["difference"]["mean_absolute"] == pytest.approx(np.abs(difference).mean() / scale, rel=1e-4)


@pytest.mark.parametrize("shape", [(3, 4, 2), (1, 9, 9), (33, 7, 1), (13, 12, 25)])
def test_odd_sizes_and_volumes_smaller_than_a_window(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    data = brain(shape)
    path = save(tmp_path / "case.nii.gz", data)
    factor = [1 if size == 1 else 2 for size in shape]
    (made,) = resolver(interpolation="linear").run(path, tmp_path / "out", factor=factor)
    wanted = ndimage.zoom(data.astype(np.float64), factor, order=1, grid_mode=True, mode="reflect")
    np.testing.assert_allclose(nibabel.load(made.image).get_fdata(), wanted, atol=1e-5 * data.max())


def test_headers_and_record(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    path = save(tmp_path / "sub-01_T1w.nii.gz", brain(), code=4)
    (made,) = resolver(weights=weights).run(path, tmp_path / "out", factor=[1, 1, 2])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "sub-01_T1w.json",
        "sub-01_T1w_difference.nii.gz",
        "sub-01_T1w_sr.nii.gz",
    ]
    for file in (made.image, made.difference):
        header = nibabel.load(file).header
        assert bytes(header["descrip"].item()).decode() == RESEARCH_NOTICE
        assert header.get_data_dtype() == np.float32
        assert int(header["sform_code"]) == int(header["qform_code"]) == 4
        assert header.get_xyzt_units()[0] == "mm"
    record = json.loads(made.record.read_text())
    assert record["notice"] == RESEARCH_NOTICE
    assert record["input"]["name"] == path.name and record["input"]["contrast"] == "T1"
    assert record["input"]["shape"] == [15, 18, 11] and record["output"]["shape"] == [15, 18, 22]
    assert record["factor"] == pytest.approx([1, 1, 2])
    assert record["weights"]["file"] == "model.pt" and len(record["weights"]["sha256"]) == 64
    assert record["inferer"] == {"name": "SeamlessInferer", "window": [12, 12, 12], "overlap": [0.25] * 3}
    assert str(tmp_path) not in made.record.read_text()
    assert made.warnings == tuple(record["warnings"])
    assert "trained on" in made.warnings[0]


def test_sheared_axes_keep_their_affine(tmp_path: Path) -> None:
    affine = AFFINES["plain"] @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(brain(), affine)
    image.set_sform(affine, 1)
    nibabel.save(image, tmp_path / "case.nii.gz")
    (made,) = resolver().run(tmp_path / "case.nii.gz", tmp_path / "out", factor=1)
    found = nibabel.load(made.image)
    np.testing.assert_allclose(found.affine, affine, rtol=1e-6)
    assert found.get_qform(coded=True)[1] == 0  # which cannot hold a shear


def domain(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "spacings": [(0.7, 0.7, 0.7), (1, 1, 1)],
        "factors": [(2, 2, 1), (1, 1, 3), (float("nan"),) * 3],
        "contrasts": ["T1", "T1", "unknown"],
        "interpolation": "linear",
    }
    return super_resolution_domain(**{**settings, **changes})


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights" / "model.pt"
    path.parent.mkdir()
    path.write_bytes(b"")
    path.with_suffix(".json").write_text(json.dumps(domain()))
    return path


def test_what_was_trained_is_accepted_and_its_interpolation_used(tmp_path: Path, weights: Path) -> None:
    assert domain()["factors"] == [[2, 2, 1], [3, 1, 1]]
    path = save(tmp_path / "case_T1w.nii.gz", brain())  # 1 x 1 x 3 mm
    (made,) = resolver(weights=weights).run(path, tmp_path / "out", target_spacing=1)
    assert made.warnings == ()
    wanted = ndimage.zoom(brain().astype(np.float64), (1, 1, 3), order=1, grid_mode=True, mode="reflect")
    np.testing.assert_allclose(nibabel.load(made.image).get_fdata(), wanted, atol=1e-5 * wanted.max())
    assert json.loads(made.record.read_text())["trained_on"] == domain()


@pytest.mark.parametrize(
    ("name", "grid", "words"),
    [
        ("a_T1w", {"target_spacing": 0.5}, r"voxels of 0\.5 x 0\.5 x 0\.5 mm were never trained .*0\.7 to 1 mm"),
        ("a_T1w", {"target_spacing": [1, 1, 0.8]}, "3.75 times coarser than the output was never trained"),
        ("a_T1w", {"target_spacing": [0.7, 0.7, 1]}, r"coarser along 3 axes \(1\.43 x 1\.43 x 3\)"),
        ("a_T2w", {"target_spacing": 1}, r"the contrast T2 was never trained \(trained: T1\)"),
    ],
)
def test_what_was_never_trained_is_refused_or_warned_of(
    tmp_path: Path, weights: Path, caplog: pytest.LogCaptureFixture, name: str, grid: dict[str, Any], words: str
) -> None:
    path = save(tmp_path / f"{name}.nii.gz", brain())
    with pytest.raises(ValueError, match=rf"{name}\.nii\.gz: .*{words}.*--outside warn"):
        resolver(weights=weights).run(path, tmp_path / "out", **grid)
    assert not (tmp_path / "out").exists()
    with caplog.at_level(logging.WARNING, "recon_monai"):
        (made,) = resolver(weights=weights, outside="warn").run(path, tmp_path / "out", **grid)
    unseen = [text for text in made.warnings if "never trained" in text]
    assert unseen and all(text in caplog.text for text in unseen)
    assert json.loads(made.record.read_text())["warnings"] == list(made.warnings)


def test_an_unknown_contrast_is_asked_for(tmp_path: Path, weights: Path) -> None:
    path = save(tmp_path / "a.nii.gz", brain())
    (made,) = resolver(weights=weights).run(path, tmp_path / "out", target_spacing=1)
    assert "name it by --contrast" in made.warnings[0]
    (made,) = resolver(weights=weights).run(path, tmp_path / "out", target_spacing=1, contrast="T1", overwrite=True)
    assert made.warnings == ()
    with pytest.raises(ValueError, match="contrast PD"):
        resolver(weights=weights).run(path, tmp_path / "out", target_spacing=1, contrast="PD", overwrite=True)


def test_interpolated_volumes_are_reported_and_their_resolution_counts(tmp_path: Path, weights: Path) -> None:
    """Measured with 1 x 1 x 3 mm, stored with 1 x 1 x 1.5 mm: three times coarser than 1 mm, not 1.5 times."""
    rng = np.random.default_rng(0)
    measured = (ndimage.gaussian_filter(rng.random((24, 24, 20)), 0.5) * 500).astype(np.float32)
    data = ndimage.zoom(measured, (1, 1, 2), order=1, grid_mode=True, mode="reflect")
    affine = affine_of(np.eye(3), (1.0, 1.0, 1.5))
    path = save(tmp_path / "a_T1w.nii.gz", data, affine)
    (made,) = resolver(weights=weights).run(path, tmp_path / "out", target_spacing=1)
    record = json.loads(made.record.read_text())
    assert record["kspace_support"] == pytest.approx([1, 1, 0.5], abs=0.03)
    assert "interpolated before" in made.warnings[0] and "1 x 1 x 3 mm" in made.warnings[0]
    with pytest.raises(ValueError, match=r"3\.75 times coarser"):
        resolver(weights=weights).run(path, tmp_path / "out2", target_spacing=[1, 1, 0.8])


def masked(interpolated: bool) -> np.ndarray:
    """A head with a mask around it, as skull stripping leaves it; brought to 1.5 times as many voxels, or not."""
    rng = np.random.default_rng(0)
    data = ndimage.gaussian_filter(rng.random((48, 48, 48)), 0.6) * 500
    if interpolated:
        data = ndimage.zoom(data, 1.5, order=3, grid_mode=True, mode="reflect")
    place = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in data.shape], indexing="ij"))
    return np.where((place**2).sum(0) < 0.8, data, 0).astype(np.float32)


def test_an_interpolation_is_found_under_a_mask(tmp_path: Path) -> None:
    path = save(tmp_path / "a_T1w.nii.gz", masked(True), np.eye(4))
    (made,) = resolver(inferer=SeamlessInferer(96)).run(path, tmp_path / "out", factor=1)
    assert json.loads(made.record.read_text())["kspace_support"] == pytest.approx([2 / 3] * 3, abs=0.03)
    assert "up to 67% x 67% x 67% of the Nyquist frequency at most" in made.warnings[0]
    assert "at best about 1.5 x 1.5 x 1.5 mm" in made.warnings[0]


def test_what_cannot_be_judged_is_said_in_log_and_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = masked(False)
    data[np.random.default_rng(1).random(data.shape) < 0.3] = 0  # no unbroken line is left
    path = save(tmp_path / "a_T1w.nii.gz", data, np.eye(4))
    with caplog.at_level(logging.WARNING, "recon_monai"):
        (made,) = resolver(inferer=SeamlessInferer(48)).run(path, tmp_path / "out", factor=1)
    record = json.loads(made.record.read_text())
    assert record["kspace_support"] == [None] * 3
    (words,) = [text for text in record["warnings"] if "interpolated" in text]
    assert "cannot be judged along axes 0, 1, 2" in words and words in caplog.text


def test_an_uncertain_edge_alone_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = super_resolution_domain(spacings=[(1, 1, 1)], factors=[(2, 2, 2)], contrasts=["T1"])
    (tmp_path / "model.json").write_text(json.dumps(described))
    path = save(tmp_path / "a_T1w.nii.gz", brain(), affine_of(np.eye(3), (1.5, 1.5, 1.5)))
    for support, refused in ((0.66, False), (0.72, False), (0.5, True)):
        monkeypatch.setattr("recon_monai.engines.super_resolution.kspace_support", lambda _, part=support: (part,) * 3)
        made = resolver(weights=tmp_path / "model.pt")
        if refused:
            with pytest.raises(ValueError, match="an input 3 times coarser"):
                made.run(path, tmp_path / "out", target_spacing=1, overwrite=True)
        else:
            made.run(path, tmp_path / "out", target_spacing=1, overwrite=True)


def test_resolutions_that_cannot_be_compared_are_said(tmp_path: Path) -> None:
    described = super_resolution_domain(spacings=[(1, 1, 1)], factors=[], contrasts=["T1"])
    (tmp_path / "model.json").write_text(json.dumps(described))
    path = save(tmp_path / "a_T1w.nii.gz", brain())
    (made,) = resolver(weights=tmp_path / "model.pt").run(path, tmp_path / "out", target_spacing=1)
    assert any("resolutions cannot be compared" in text for text in made.warnings)


def test_a_signed_volume_is_said_to_be_no_magnitude_image(tmp_path: Path) -> None:
    data = brain()
    path = save(tmp_path / "a_T1w.nii.gz", data / data.max() * 100 - 50)
    (made,) = resolver().run(path, tmp_path / "out", factor=1)
    assert "of the voxels are negative, down to" in made.warnings[0] and "magnitude" in made.warnings[0]
    overshoot = data - data.min() - 0.01 * data.max()
    (made,) = resolver().run(save(tmp_path / "b_T1w.nii.gz", overshoot), tmp_path / "out", factor=1)
    assert not any("negative" in text for text in made.warnings)


def test_a_missing_grid_names_the_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.nii.gz", brain())
    with pytest.raises(ValueError, match=r"a\.nii\.gz and 1 more: give either --target_spacing"):
        resolver().run(tmp_path / "in", tmp_path / "out")


def test_bfloat16_of_an_inferer_is_not_set_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, inferer = save(tmp_path / "a.nii.gz", brain()), MarginTrimInferer(12, amp=True)
    made = resolver(nn.Conv3d(1, 1, 1), inferer=inferer, amp=True)
    assert isinstance(made._precision(), contextlib.nullcontext)
    assert isinstance(resolver(amp=True)._precision(), torch.autocast)
    (one,) = made.run(path, tmp_path / "out", factor=1)
    assert json.loads(one.record.read_text())["bfloat16"] is True


def test_volumes_that_are_no_images_are_refused(tmp_path: Path) -> None:
    broken = brain()
    broken[3, 4, 5] = np.nan
    for name, data, words in (
        ("nan", broken, "NaN or infinity in 1 voxels"),
        ("constant", np.full((8, 8, 8), 5, np.float32), "is 5 everywhere"),
        ("empty", np.zeros((8, 8, 8), np.float32), "is 0 everywhere"),
        ("negative", -brain(), "expected a positive number"),
        ("complex", brain().astype(np.complex64), "complex numbers"),
        ("series", np.stack([brain()] * 2, axis=-1), "choose one with frame=0"),
    ):
        path = save(tmp_path / f"{name}.nii.gz", data)
        with pytest.raises(ValueError, match=rf"{name}\.nii\.gz: .*{words}"):
            resolver().run(path, tmp_path / "out", factor=2)
    (tmp_path / "text.nii.gz").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"text\.nii\.gz: cannot be read"):
        resolver().run(tmp_path / "text.nii.gz", tmp_path / "out", factor=2)
    assert not (tmp_path / "out").exists()
    (made,) = resolver().run(tmp_path / "series.nii.gz", tmp_path / "out", factor=1, frame=1)
    np.testing.assert_allclose(nibabel.load(made.image).get_fdata(), brain(), rtol=2e-6, atol=1e-3)


def test_one_bad_volume_does_not_stop_the_others(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a.nii.gz", np.zeros((8, 8, 8), np.float32))
    save(tmp_path / "in" / "b.nii", brain())
    with pytest.raises(ValueError, match=r"1 of 2 volumes were not super-resolved:\n.*a\.nii\.gz"):
        resolver().run(tmp_path / "in", tmp_path / "out", factor=2)
    assert (tmp_path / "out" / "b_sr.nii.gz").exists()
    with pytest.raises(ValueError, match="exists already"):
        resolver().run(tmp_path / "in" / "b.nii", tmp_path / "out", factor=2)
    save(tmp_path / "other" / "b.nii", brain())
    with pytest.raises(ValueError, match="have one name, b"):
        resolver().run([tmp_path / "in" / "b.nii", tmp_path / "other"], tmp_path / "out", factor=2)


def test_a_broken_network_writes_nothing(tmp_path: Path) -> None:
    network = nn.Conv3d(1, 1, 1)
    nn.init.constant_(network.weight, float("nan"))
    path = save(tmp_path / "a.nii.gz", brain())
    with pytest.raises(ValueError, match=r"a\.nii\.gz: the network's output holds NaN"):
        resolver(network).run(path, tmp_path / "out", factor=2)
    assert not (tmp_path / "out").exists()


def test_the_network_is_used_as_in_evaluation(tmp_path: Path) -> None:
    network = nn.Sequential(nn.BatchNorm3d(1), nn.Dropout(0.5)).train()
    data = torch.from_numpy(brain())
    grid = Grid((15, 18, 11), torch.from_numpy(AFFINES["oblique"]))
    output, plain = resolver(network).resolve(data, grid, grid)
    torch.testing.assert_close(output, plain, rtol=1e-4, atol=1e-3)
    assert not network.training and network[0].num_batches_tracked == 0
    half, _ = resolver(nn.Conv3d(1, 1, 1), amp=True).resolve(data, grid, grid)
    assert half.dtype == torch.float32


def test_wrong_settings_are_refused(tmp_path: Path, weights: Path) -> None:
    path = save(tmp_path / "a.nii.gz", brain())
    for grid, words in (
        ({}, "either --target_spacing or --factor"),
        ({"factor": 2, "target_spacing": 1}, "either --target_spacing or --factor"),
        ({"factor": 0.5}, "expected at least 1 along each axis"),
        ({"factor": "2"}, "one positive number or three"),
        ({"factor": [2, 2]}, "one positive number or three"),
        ({"target_spacing": 2}, r"coarser than the volume's 1 x 1 x 3 mm along axis 0.*--target_spacing 1,1,2"),
    ):
        with pytest.raises(ValueError, match=words):
            resolver().run(path, tmp_path / "out", **grid)
    with pytest.raises(ValueError, match="single voxel along axis 0"):
        output_grid(Grid((1, 5, 5), torch.eye(4)), factor=2)
    with pytest.raises(ValueError, match="'refuse' or 'warn'"):
        resolver(outside="ignore")
    with pytest.raises(ValueError, match="'fourier', 'linear' or 'cubic'"):
        resolver(interpolation="nearest")
    with pytest.raises(FileNotFoundError, match="no such file"):
        resolver().run(tmp_path / "none.nii.gz", tmp_path / "out", factor=2)
    weights.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"model\.json: is no JSON"):
        resolver(weights=weights)
    assert domain(factors=[(float("nan"),) * 3])["factors"] == []
    with pytest.raises(ValueError, match="voxel sizes"):
        domain(spacings=[])


@pytest.mark.parametrize("turned", [False, True], ids=["axial", "oblique"])
def test_a_dicom_series_lies_where_itk_says(tmp_path: Path, turned: bool) -> None:
    """Five slices of 4 mm become 10 of 2 mm; ITK reads the series, nibabel the result."""
    pydicom = pytest.importorskip("pydicom")
    import itk

    data = (brain((9, 10, 5)) / 2).astype(np.uint16)  # column, row, slice
    axes = TURN if turned else np.eye(3)
    folder = tmp_path / "Doe Jane"
    folder.mkdir()
    for index in range(5):
        made = pydicom.Dataset()
        made.file_meta = pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = pydicom.uid.MRImageStorage, pydicom.uid.generate_uid()
        made.SeriesInstanceUID, made.StudyInstanceUID = "1.2.3", "1.2"
        made.Modality, made.PatientName, made.PatientID = "MR", "Doe^Jane", "MRN0815"
        made.SeriesDescription, made.ImageType = "T1 axial", ["ORIGINAL", "PRIMARY", "M"]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.ImageOrientationPatient = [float(f"{one:.9f}") for one in axes[:, :2].T.ravel()]
        place = np.array([-20.0, 30.0, 5.0]) + 4.0 * index * np.cross(axes[:, 0], axes[:, 1])
        made.ImagePositionPatient = [float(f"{one:.9f}") for one in place]
        made.PixelSpacing, made.SliceThickness, made.InstanceNumber = [1.25, 0.8], 4.0, index + 1
        made.Rows, made.Columns, made.PixelData = 10, 9, np.ascontiguousarray(data[:, :, index].T).tobytes()
        made.save_as(folder / f"IM{9 - index}", enforce_file_format=True)
    (made_files,) = resolver(interpolation="linear").run(folder, tmp_path / "out", factor=[1, 1, 2])
    names = itk.GDCMSeriesFileNames.New(Directory=str(folder)).GetFileNames("1.2.3")
    series = itk.imread(list(names), itk.F)
    image = nibabel.load(made_files.image)
    values, last = image.get_fdata(), image.shape[2] - 1
    stored = itk.array_from_image(series).T.astype(float)
    wanted = ndimage.zoom(stored, (1, 1, 2), order=1, grid_mode=True, mode="reflect")
    steps = np.asarray(series.GetDirection()) * np.asarray(series.GetSpacing()) / [1, 1, 2]
    # centers of the new voxels: the first lies a quarter of an old slice before the old one's center
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = steps, np.asarray(series.GetOrigin()) - steps[:, 2] / 2
    affine = np.diag([-1.0, -1, 1, 1]) @ affine
    if affine[:3, 2] @ image.affine[:3, 2] < 0:  # ITK counts slices from the other end
        wanted = wanted[..., ::-1]
        affine = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, last], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(image.affine, affine, atol=2e-5)
    np.testing.assert_allclose(values, wanted, atol=1e-3)
    text = made_files.record.read_text()
    assert made_files.image.name.startswith("series-")
    assert not any(word in text for word in ("Doe", "MRN0815", str(tmp_path)))
    assert json.loads(text)["input"]["kind"] == "DICOM"


@pytest.mark.parametrize("shown", ["refuse", "warn"])
def test_six_times_coarser_along_all_axes_is_refused(tmp_path: Path, shown: Any) -> None:
    """The largest factor and the number of coarse axes were trained, but not together."""
    described = domain(spacings=[(1, 1, 1)], factors=[(2, 2, 2), (1, 1, 6)])
    (tmp_path / "model.json").write_text(json.dumps(described))
    path = save(tmp_path / "a_T1w.nii.gz", brain((6, 6, 6)), affine_of(np.eye(3), (6.0, 6.0, 6.0)))
    made = resolver(weights=tmp_path / "model.pt", outside=shown)
    if shown == "refuse":
        with pytest.raises(ValueError, match="6 x 6 x 6 times coarser than the output was never trained"):
            made.run(path, tmp_path / "out", target_spacing=1)
    else:
        (done,) = made.run(path, tmp_path / "out", target_spacing=1)
        assert any("6 x 6 x 6 times coarser" in text for text in done.warnings)


def test_weights_without_known_contrasts_say_so(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(domain(contrasts=["unknown"])))
    path = save(tmp_path / "a_T2w.nii.gz", brain())
    (made,) = resolver(weights=tmp_path / "model.pt").run(path, tmp_path / "out", target_spacing=1)
    assert made.warnings == (
        "nothing says which contrasts the weights were trained on, so contrasts cannot be compared",
    )


def test_the_scale_of_the_training_is_used_and_another_one_warned_of(tmp_path: Path) -> None:
    path = save(tmp_path / "a_T1w.nii.gz", brain())
    largest = float(brain().max())
    for trained, percentile, used in (("maximum", 99.9, largest), (4095, 99.9, 4095.0), ("percentile", 90, None)):
        (tmp_path / "model.json").write_text(json.dumps(domain(scale=trained, percentile=percentile)))
        (made,) = resolver(weights=tmp_path / "model.pt").run(path, tmp_path / "out", target_spacing=1, overwrite=True)
        assert made.warnings == ()
        expected = float(np.percentile(brain(), 90)) if used is None else used
        assert json.loads(made.record.read_text())["intensity_scale"] == pytest.approx(expected, rel=1e-6)
    other = resolver(weights=tmp_path / "model.pt", scale="maximum")
    (made,) = other.run(path, tmp_path / "out", target_spacing=1, overwrite=True)
    (warning,) = made.warnings
    assert warning.startswith("intensities are divided by the maximum, and the weights were trained with the perc")
    assert "--scale percentile --percentile 90" in warning
    record = domain()
    del record["scale"], record["percentile"]  # as it was written before
    (tmp_path / "model.json").write_text(json.dumps(record))
    made = resolver(weights=tmp_path / "model.pt")
    assert (made.scaling.scale, made.scaling.percentile) == ("percentile", 99.9)


def test_an_interpolation_that_was_not_trained_is_warned_of(tmp_path: Path, weights: Path) -> None:
    path = save(tmp_path / "a_T1w.nii.gz", brain())
    (made,) = resolver(weights=weights, interpolation="cubic").run(path, tmp_path / "out", target_spacing=1)
    (warning,) = made.warnings
    assert warning == (
        "low resolution is interpolated by cubic, and the weights were trained with linear; give --interpolation "
        "linear, or judge the results with care"
    )


@pytest.mark.parametrize("name", ["t1", "T1w", "T1"])
def test_the_case_of_a_contrast_does_not_matter(tmp_path: Path, weights: Path, name: str) -> None:
    path = save(tmp_path / "a.nii.gz", brain())
    (made,) = resolver(weights=weights).run(path, tmp_path / "out", target_spacing=1, contrast=name)
    assert made.warnings == ()
    assert json.loads(made.record.read_text())["input"]["contrast"] == "T1"
    described = domain(contrasts=["Angio"])
    assert differences_from_training(described, spacing=(1, 1, 1), factor=(3, 1, 1), contrast="angio") == []
