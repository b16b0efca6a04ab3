"""Measured coil arrays in the simulation; pre-whitening and compression of raw arrays; named axes."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import torch

from recon_monai.cli import main
from recon_monai.data import read_split
from recon_monai.data.prepare import (
    ImageVolume,
    MeasuredCoils,
    RawProcessing,
    RawSettings,
    SimulationSettings,
    measure_coils,
    read_kspace,
    read_raw,
    simulate_acquisition,
)
from recon_monai.physics import (
    ifft2c,
    keyed_generator,
    noise_covariance,
    normalize_maps,
    rss,
    simulate_coil_maps,
    simulate_kspace,
    simulate_noise_covariance,
    simulate_phase,
)

COILS, SHAPE, NOISE = 6, (64, 56), 0.01
SCAN = RawSettings()  # coil, phase, readout


def coil_array() -> tuple[torch.Tensor, torch.Tensor]:
    """Maps and noise covariance of the array that the scans of these tests are made with."""
    generator = keyed_generator("array")
    maps = normalize_maps(simulate_coil_maps(COILS, SHAPE, generator))
    return maps, simulate_noise_covariance(COILS, generator)


def disc(radius: float) -> torch.Tensor:
    y, x = (((torch.arange(n) - n // 2) / (n / 2)) for n in SHAPE)
    return y[:, None] ** 2 + x**2 < radius**2


def scan(image: torch.Tensor, seed: int, oversampling: int = 1) -> torch.Tensor:
    """K-space `(coil, readout, phase)` of an image, with the noise and the phase of this scan."""
    maps, covariance = coil_array()
    generator = keyed_generator("scan", seed)
    return simulate_kspace(
        image,
        maps,
        phase=simulate_phase(SHAPE, generator),
        noise_std=NOISE,
        covariance=covariance,
        readout_oversampling=oversampling,
        generator=generator,
    )


def save(path: Path, kspace: torch.Tensor) -> Path:
    """Save as `(coil, phase, readout)`."""
    np.save(path, kspace.transpose(-1, -2).numpy())
    return path


@pytest.fixture
def phantom(tmp_path) -> Path:
    return save(tmp_path / "phantom.npy", scan(disc(0.7).float(), 1))


@pytest.fixture
def silence(tmp_path) -> Path:
    return save(tmp_path / "noise.npy", scan(torch.zeros(SHAPE), 2))


@pytest.fixture
def brain(tmp_path) -> Path:
    y, x = torch.linspace(-1, 1, SHAPE[0])[:, None], torch.linspace(-1, 1, SHAPE[1])
    image = disc(0.75) * (1 + 0.4 * torch.cos(7 * x) * torch.cos(9 * y))
    return save(tmp_path / "brain.npy", scan(image, 3))


def unexplained(maps: torch.Tensor, inside: torch.Tensor) -> float:
    """Largest part of the true maps that is no multiple of the found ones."""
    truth, _ = coil_array()
    overlap = (maps.conj() * truth).sum(dim=0).abs()
    return (1 - overlap.square()).clamp(min=0).sqrt()[inside].max().item()


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Of two covariances, up to their scale."""
    found, expected = (one / one.diagonal().real.mean() for one in (found, expected))
    return (torch.linalg.norm(found - expected) / torch.linalg.norm(expected)).item()


class TestMeasureCoils:
    def test_maps_and_noise_of_a_phantom(self, phantom, caplog):
        with caplog.at_level(logging.INFO):
            coils = measure_coils(SCAN, calibration_scan=phantom)
        assert coils.coils == COILS
        assert coils.attributes == {"coil_maps": "calibration scan", "noise_covariance": "calibration scan"}
        maps = coils.maps(SHAPE)
        torch.testing.assert_close(rss(maps), torch.ones(1, *SHAPE))
        assert unexplained(maps, disc(0.7)) < 0.05
        assert relative_error(coils.covariance, coil_array()[1]) < 0.15
        # variance of a complex sample: twice that of its parts
        assert coils.covariance.diagonal().real.mean().item() == pytest.approx(2 * NOISE**2, rel=0.1)
        assert "coil maps of 6 coils fitted to the phantom" in caplog.text
        assert "noise covariance of 6 coils from" in caplog.text

    def test_a_noise_scan_is_preferred(self, phantom, silence):
        coils = measure_coils(SCAN, calibration_scan=phantom, noise_scan=silence)
        assert coils.attributes == {"coil_maps": "calibration scan", "noise_covariance": "noise scan"}
        expected = noise_covariance(torch.from_numpy(np.load(silence)))
        torch.testing.assert_close(coils.covariance, expected)
        alone = measure_coils(SCAN, noise_scan=silence)
        assert alone.maps(SHAPE) is None
        assert alone.attributes == {"noise_covariance": "noise scan"}

    def test_samples_that_were_not_acquired_are_no_noise(self, tmp_path, silence):
        kspace = np.load(silence)
        expected = measure_coils(SCAN, noise_scan=silence).covariance
        padded = np.concatenate([kspace, np.zeros_like(kspace)], axis=1)
        np.save(tmp_path / "padded.npy", padded)
        found = measure_coils(SCAN, noise_scan=tmp_path / "padded.npy").covariance
        torch.testing.assert_close(found, expected)

    def test_oversampled_calibration_scan(self, tmp_path, phantom):
        long = save(tmp_path / "long.npy", scan(disc(0.7).float(), 1, oversampling=2))
        coils = measure_coils(RawSettings(readout_oversampling=2), calibration_scan=long)
        assert unexplained(coils.maps(SHAPE), disc(0.7)) < 0.05
        with pytest.raises(ValueError, match=r"long\.npy: 128 readout points cannot be oversampled 3 times"):
            measure_coils(RawSettings(readout_oversampling=3), calibration_scan=long)

    def test_given_maps(self, tmp_path):
        truth, _ = coil_array()
        np.save(tmp_path / "full.npy", 3 * truth.numpy())
        coils = measure_coils(SCAN, coil_maps=tmp_path / "full.npy")
        torch.testing.assert_close(coils.maps(SHAPE), truth)
        assert coils.covariance is None
        smaller = coils.maps((32, 28))
        overlap = (smaller.conj() * truth[:, ::2, ::2]).sum(dim=0).abs()
        assert overlap.min() > 0.99
        np.save(tmp_path / "masked.npy", (truth * disc(0.8)).numpy())
        masked = measure_coils(SCAN, coil_maps=tmp_path / "masked.npy").maps(SHAPE)
        torch.testing.assert_close(rss(masked), torch.ones(1, *SHAPE))
        assert unexplained(masked, disc(0.8)) < 0.05

    def test_the_middle_slice_gives_the_maps_and_all_slices_the_noise(self, tmp_path, phantom, caplog):
        kspace = np.load(phantom)
        other = save(tmp_path / "x.npy", scan(disc(0.6).float(), 4))
        np.save(tmp_path / "slices.npy", np.stack([np.load(other), kspace, np.load(other)]))
        settings = RawSettings(axes=("slice", "coil", "phase", "readout"))
        coils = measure_coils(settings, calibration_scan=tmp_path / "slices.npy")
        torch.testing.assert_close(coils.maps(SHAPE), measure_coils(SCAN, calibration_scan=phantom).maps(SHAPE))
        assert relative_error(coils.covariance, coil_array()[1]) < 0.08

    def test_refused(self, tmp_path, phantom, silence):
        kspace = np.load(phantom)
        undersampled = kspace.copy()
        undersampled[:, ::2] = 0
        np.save(tmp_path / "half.npy", undersampled)
        np.save(tmp_path / "fewer.npy", np.load(silence)[:4])
        np.save(tmp_path / "short.npy", np.load(silence)[:, :1, :50])
        silent = np.load(silence)
        silent[2] = 0
        np.save(tmp_path / "silent.npy", silent)
        filled = save(tmp_path / "filled.npy", scan(torch.ones(SHAPE), 5))
        point = save(tmp_path / "point.npy", scan(disc(0.22).float(), 5))
        cases: list[tuple[dict[str, Path], str]] = [
            (
                {"calibration_scan": tmp_path / "half.npy"},
                r"half\.npy: some samples are zero, expected a fully sampled",
            ),
            ({"calibration_scan": phantom, "noise_scan": tmp_path / "fewer.npy"}, r"phantom\.npy has 6 .*has 4 coils"),
            ({"noise_scan": tmp_path / "short.npy"}, r"short\.npy: holds 50 noise samples, expected at least 120"),
            ({"noise_scan": tmp_path / "silent.npy"}, r"silent\.npy: coil 2 has no noise"),
            ({"calibration_scan": filled}, r"filled\.npy: 0 pixels lie outside the object, .*--noise_scan"),
            ({"calibration_scan": point}, r"point\.npy: the object covers [2-4]\.\d% of the image"),
            ({"calibration_scan": silence, "noise_scan": silence}, r"noise\.npy: smooth coil maps leave 1\d\d% of it"),
            ({"calibration_scan": phantom, "coil_maps": phantom}, "both give coil maps"),
        ]
        for files, message in cases:
            with pytest.raises(ValueError, match=message):
                measure_coils(SCAN, **files)


class TestSimulation:
    def volume(self) -> ImageVolume:
        images = 100 * disc(0.7).float().repeat(2, 1, 1).numpy()
        return ImageVolume("v", images, (1.0, 1.0, 1.0))

    def test_measured_maps_and_noise_are_used(self, phantom, silence):
        coils = measure_coils(SCAN, calibration_scan=phantom, noise_scan=silence)
        clean = simulate_acquisition(self.volume(), SimulationSettings(noise=0.0), coils)
        for kspace, target in clean.slices:
            assert kspace.shape == (COILS, *SHAPE)
            np.testing.assert_allclose(target, self.volume().images[0], atol=1e-3)
            images = ifft2c(torch.from_numpy(kspace)).abs()
            torch.testing.assert_close(images, coils.maps(SHAPE).abs() * 100 * disc(0.7), rtol=1e-3, atol=1e-2)
        assert clean.attributes["coils"] == COILS
        assert clean.attributes["coil_maps"] == "calibration scan"
        noisy = simulate_acquisition(self.volume(), SimulationSettings(noise=0.05), coils)
        [(with_noise, _), _] = noisy.slices
        [(without, _), _] = simulate_acquisition(self.volume(), SimulationSettings(noise=0.0), coils).slices
        found = noise_covariance(torch.from_numpy(with_noise - without))
        assert relative_error(found, coils.covariance) < 0.1
        assert found.diagonal().real.mean().item() == pytest.approx(2 * (0.05 * 100) ** 2, rel=0.05)

    def test_noise_alone_leaves_the_maps_as_they_are_drawn(self, silence):
        coils = measure_coils(SCAN, noise_scan=silence)
        settings = SimulationSettings(coils=COILS, noise=0.0)
        for (found, _), (expected, _) in zip(
            simulate_acquisition(self.volume(), settings, coils).slices,
            simulate_acquisition(self.volume(), settings).slices,
            strict=True,
        ):
            np.testing.assert_array_equal(found, expected)


class TestProcessing:
    def read(self, path: Path, **settings: Any) -> tuple[torch.Tensor, np.ndarray, dict[str, Any]]:
        acquisition = read_raw(path, SCAN, processing=RawProcessing(**settings))
        [(kspace, target)] = acquisition.slices
        assert target is not None
        return torch.from_numpy(kspace), target, acquisition.attributes

    def test_whitened_noise_is_white(self, brain, silence):
        covariance = measure_coils(SCAN, noise_scan=silence).covariance
        kspace, target, attributes = self.read(brain, covariance=covariance, covariance_from="noise scan")
        outside = ifft2c(kspace)[:, ~disc(0.95)]
        found = noise_covariance(outside)
        assert torch.linalg.norm(found - torch.eye(COILS)) / COILS**0.5 < 0.25
        assert found.diagonal().real.mean().item() == pytest.approx(1, rel=0.1)
        torch.testing.assert_close(torch.from_numpy(target), rss(ifft2c(kspace))[0])
        assert attributes["prewhitened"] is True
        assert attributes["noise_covariance"] == "noise scan"

    def test_whitening_comes_before_compression_and_the_target_last(self, brain, silence):
        covariance = measure_coils(SCAN, noise_scan=silence).covariance
        kspace, target, attributes = self.read(
            brain, covariance=covariance, covariance_from="noise scan", compress_coils=3
        )
        assert kspace.shape == (3, *SHAPE)
        white, _, _ = self.read(brain, covariance=covariance, covariance_from="noise scan")
        values = np.linalg.svd(white.flatten(1).numpy(), compute_uv=False) ** 2
        assert attributes["kept_energy"] == pytest.approx(values[:3].sum() / values.sum(), rel=1e-5)
        assert (attributes["acquired_coils"], attributes["coils"]) == (COILS, 3)
        torch.testing.assert_close(torch.from_numpy(target), rss(ifft2c(kspace))[0])
        outside = noise_covariance(ifft2c(kspace)[:, ~disc(0.95)])
        assert torch.linalg.norm(outside - torch.eye(3)) / 3**0.5 < 0.25

    @pytest.mark.parametrize("compression", ["svd", "gcc"])
    def test_few_virtual_coils_keep_the_image(self, brain, compression):
        _, full, _ = self.read(brain)
        _, target, attributes = self.read(brain, compress_coils=4, compression=compression)
        inside = disc(0.7).numpy()
        error = np.linalg.norm((target - full)[inside]) / np.linalg.norm(full[inside])
        assert error < (0.03 if compression == "svd" else 0.01)
        assert attributes["coil_compression"] == compression

    def test_mask_and_missing_target_stay(self, tmp_path, brain):
        raw = np.load(brain)
        raw[:, 1::2] = 0
        np.save(tmp_path / "half.npy", raw)
        for compression in ("svd", "gcc"):
            processing = RawProcessing(compress_coils=2, compression=compression)
            acquisition = read_raw(tmp_path / "half.npy", SCAN, processing=processing)
            [(kspace, target)] = acquisition.slices
            assert target is None
            assert acquisition.mask.tolist() == [True, False] * 28
            assert not kspace[..., 1::2].any()

    def test_refused(self, tmp_path, brain):
        with pytest.raises(ValueError, match=r"brain\.npy: has 6 coils, which cannot be compressed to 7"):
            self.read(brain, compress_coils=7)
        with pytest.raises(ValueError, match=r"brain\.npy: has 6 coils and the noise was measured with 5"):
            self.read(brain, covariance=torch.eye(5))
        raw = np.load(brain)
        raw[:, 3, 4] = 0
        np.save(tmp_path / "points.npy", raw)
        with pytest.raises(ValueError, match=r"points\.npy: not every sample of the readout .*use svd"):
            read_raw(tmp_path / "points.npy", SCAN, processing=RawProcessing(compress_coils=2, compression="gcc"))


class TestAxes:
    def raw(self, *shape: int) -> np.ndarray:
        rng = np.random.default_rng(len(shape))
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)

    def read(self, tmp_path: Path, array: np.ndarray, axes: str, **settings: Any) -> np.ndarray:
        np.save(tmp_path / "raw.npy", array)
        return read_kspace(tmp_path / "raw.npy", RawSettings(axes=axes.split(","), **settings)).numpy()

    def test_any_order(self, tmp_path):
        array = self.raw(3, 2, 5, 4)
        found = self.read(tmp_path, array, "coil,slice,phase,readout")
        np.testing.assert_array_equal(found, array.transpose(1, 0, 3, 2))
        np.testing.assert_array_equal(
            self.read(tmp_path, array, "readout,coil,phase,slice"), array.transpose(3, 1, 0, 2)
        )

    @pytest.mark.parametrize("dtype", [np.float32, np.int16])
    def test_real_and_imaginary_part(self, tmp_path, dtype):
        parts = np.random.default_rng(0).integers(-1000, 1000, (3, 5, 4, 2)).astype(dtype)
        expected = (parts[..., 0] + 1j * parts[..., 1]).transpose(0, 2, 1)
        np.testing.assert_array_equal(self.read(tmp_path, parts, "coil,phase,readout,complex")[0], expected)
        np.testing.assert_array_equal(
            self.read(tmp_path, np.moveaxis(parts, -1, 0), "complex,coil,phase,readout")[0], expected
        )

    def test_averages_are_averaged(self, tmp_path):
        array = self.raw(3, 4, 5, 6)
        found = self.read(tmp_path, array, "coil,average,phase,readout")
        np.testing.assert_allclose(found[0], array.mean(axis=1).transpose(0, 2, 1), rtol=1e-6)
        one = self.read(tmp_path, array[:, :1], "coil,average,phase,readout")
        np.testing.assert_array_equal(one[0], array[:, 0].transpose(0, 2, 1))
        array[:, 2, 3] = 0
        with pytest.raises(ValueError, match=r"raw\.npy: the averages hold different phase-encoding lines"):
            self.read(tmp_path, array, "coil,average,phase,readout")

    def test_one_of_the_frames_is_chosen(self, tmp_path):
        array = self.raw(2, 3, 5, 6)
        found = self.read(tmp_path, array, "frame,coil,phase,readout", frame=1)
        np.testing.assert_array_equal(found[0], array[1].transpose(0, 2, 1))
        for settings, message in (({}, "2 frames, and no --frame"), ({"frame": 2}, "--frame 2 was given; .* 0 to 1")):
            with pytest.raises(ValueError, match=message):
                self.read(tmp_path, array, "frame,coil,phase,readout", **settings)

    def test_refused(self, tmp_path):
        cases = [
            (self.raw(3, 4), "coils,phase,readout", r"'coils' is unknown, expected .*did you mean 'coil'\?"),
            (self.raw(3, 4), "phase,phase", "expected readout, phase and, where present"),
            (self.raw(3, 4, 5, 1), "coil,phase,readout", r"shape \(3, 4, 5, 1\), but axes name 3.*length 1 average"),
            (self.raw(3, 4, 2), "phase,readout,complex", "expected real numbers with an axis complex of length 2"),
            (np.ones((3, 4, 3)), "phase,readout,complex", "axis complex of length 2 at place 3"),
            (np.ones((3, 4)), "phase,readout", "expected complex numbers; .*name it complex in --axes"),
        ]
        for array, axes, message in cases:
            with pytest.raises(ValueError, match=message):
                self.read(tmp_path, array, axes)
        with pytest.raises(ValueError, match=r"frame is 1, but axes .* name no frame"):
            RawSettings(frame=1)


class TestCommand:
    def prepare(self, inputs: Path, out: Path, *words: str) -> dict[str, Any]:
        main(["prepare", str(inputs), "--output", str(out), "--anatomy", "brain", "--split", "test", *words])
        [path] = read_split(out, "test")
        with h5py.File(path) as file:
            return {**file.attrs, "kspace": file["kspace"][()]}

    def test_raw_arrays_are_whitened_and_compressed(self, tmp_path, brain, silence):
        plain = self.prepare(brain, tmp_path / "plain")
        assert set(plain) - {"kspace"} == {
            *("acquisition", "anatomy", "patient_id", "origin", "source", "coils", "noise", "max", "norm")
        }
        words = ["--noise_scan", str(silence), "--prewhiten", "--compress_coils", "4"]
        found = self.prepare(brain, tmp_path / "out", *words)
        assert found["kspace"].shape == (1, 4, *SHAPE)
        assert (found["coils"], found["acquired_coils"], found["source"]) == (4, COILS, "measured")
        assert bool(found["prewhitened"])
        assert 0.9 < found["kept_energy"] < 1

    def test_slices_and_a_calibration_scan_without_slices(self, tmp_path, brain, phantom):
        np.save(tmp_path / "slices.npy", np.stack([np.load(brain)] * 2, axis=1))
        words = ["--calibration_scan", str(phantom), "--calibration_axes", "coil,phase,readout", "--prewhiten"]
        found = self.prepare(tmp_path / "slices.npy", tmp_path / "out", "--axes", "coil,slice,phase,readout", *words)
        assert found["kspace"].shape == (2, COILS, *SHAPE)
        assert found["noise_covariance"] == "calibration scan"

    def test_volumes_are_simulated_with_the_measured_array(self, tmp_path, phantom):
        data = np.zeros((28, 32, 4), dtype=np.int16)
        data[4:-4, 4:-4] = 200
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "v.nii")
        found = self.prepare(tmp_path / "v.nii", tmp_path / "out", "--calibration_scan", str(phantom), "--noise", "0")
        assert (found["coils"], found["coil_maps"], found["source"]) == (COILS, "calibration scan", "simulated")
        maps = measure_coils(SCAN, calibration_scan=phantom).maps((32, 28))
        images = ifft2c(torch.from_numpy(found["kspace"])).abs()
        torch.testing.assert_close(images[1, :, 4:-4, 4:-4], 200 * maps.abs()[:, 4:-4, 4:-4], rtol=1e-3, atol=0.05)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--prewhiten"], "--prewhiten needs the noise: give --noise_scan FILE"),
            (["--noise_scan", "{noise}"], "--noise_scan has no use for raw arrays without --prewhiten"),
            (["--coil_maps", "{noise}"], "--coil_maps is for simulated k-space, but the inputs are raw"),
            (["--frame", "1"], "frame is 1, but axes (coil, phase, readout) name no frame"),
        ],
    )
    def test_settings_without_use_are_refused(self, tmp_path, brain, silence, caplog, words, message):
        with pytest.raises(SystemExit) as ended:
            self.prepare(brain, tmp_path / "out", *(word.format(noise=silence) for word in words))
        assert ended.value.code == 1
        assert message in caplog.records[-1].getMessage()

    def test_number_of_coils_is_that_of_the_scan(self, tmp_path, phantom, caplog):
        np.save(tmp_path / "images.npy", np.ones((2, 32, 32)))
        with pytest.raises(SystemExit):
            self.prepare(tmp_path / "images.npy", tmp_path / "out", "--calibration_scan", str(phantom), "--coils", "8")
        assert "coils is 8, but 6 coils were measured" in caplog.text


FOLDER = os.environ.get("RECON_MONAI_REAL_DATA", "")
REAL = Path(FOLDER)


@pytest.mark.skipif(not REAL.is_dir() or not FOLDER, reason="RECON_MONAI_REAL_DATA is not set")
class TestMeasuredData:
    """Measured 16-channel brain and phantom; see docs/data.md."""

    BRAIN = REAL / "brain16_gre_pulseq" / "ksp_16ch.npy"
    PHANTOM = REAL / "phantom16_gre_pulseq" / "ksp_16ch.npy"

    def coils(self) -> MeasuredCoils:
        return measure_coils(SCAN, calibration_scan=self.PHANTOM)

    def test_maps_explain_the_phantom_down_to_its_noise(self):
        coils = self.coils()
        images = ifft2c(read_kspace(self.PHANTOM, SCAN)[0])
        root = rss(images)[0]
        inside = root > 0.3 * root.max()
        residual = images - coils.maps((128, 128)) * (coils.maps((128, 128)).conj() * images).sum(dim=0)
        level = residual[:, inside].abs().square().sum(dim=0).mean().sqrt()
        noise = coils.covariance.diagonal().real.sum().sqrt()
        # the receiver's filter lets more noise through in the middle of the readout, where the phantom is
        assert noise < level < 1.6 * noise

    def test_whitening_and_compression_keep_the_brain(self):
        processing = RawProcessing(covariance=self.coils().covariance, covariance_from="calibration scan")
        [(white, full)] = read_raw(self.BRAIN, SCAN, processing=processing).slices
        before = noise_covariance(ifft2c(read_kspace(self.BRAIN, SCAN)[0])[:, :16])
        after = noise_covariance(ifft2c(torch.from_numpy(white))[:, :16])
        assert torch.linalg.cond(after) < 0.6 * torch.linalg.cond(before)
        inside = full > 0.15 * np.percentile(full, 99)
        for compression, limit in (("svd", 0.01), ("gcc", 0.005)):
            eight = RawProcessing(processing.covariance, "calibration scan", 8, compression)
            [(kspace, target)] = read_raw(self.BRAIN, SCAN, processing=eight).slices
            assert len(kspace) == 8
            assert np.linalg.norm((target - full)[inside]) / np.linalg.norm(full[inside]) < limit

    def test_given_maps_of_32_coils(self):
        maps = measure_coils(SCAN, coil_maps=REAL / "sens32_head_chiew" / "sens_32ch.npy").maps((96, 80))
        assert maps.shape == (32, 96, 80)
        torch.testing.assert_close(rss(maps), torch.ones(1, 96, 80))
