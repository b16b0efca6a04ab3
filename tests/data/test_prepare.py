from __future__ import annotations

import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import torch

from recon_monai.data import FastMRIFile, SplitError, read_split
from recon_monai.data.prepare import (
    Description,
    ImageVolume,
    Naming,
    RawSettings,
    SimulationSettings,
    expand_inputs,
    find_kind,
    image_sources,
    raw_sources,
    read_raw,
    read_volume,
    simulate_acquisition,
    volume_sources,
    write_sources,
)
from recon_monai.data.splits import assign_subjects, read_assignment, write_assignment

BRAIN = Description("brain", "AXT1", "made for this test")


def object_volume(shape=(20, 24, 12)) -> np.ndarray:
    """A box with a bright corner: every axis and direction can be told apart."""
    data = np.zeros(shape, dtype=np.float32)
    data[3:-3, 4:-4, 2:-2] = 100.0
    data[3:6, 4:9, 2:5] = 180.0
    return data


def save_nifti(path: Path, data: np.ndarray, codes=("R", "A", "S"), zooms=(1.0, 1.5, 3.0)) -> Path:
    axes = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for column, (code, zoom) in enumerate(zip(codes, zooms, strict=True)):
        axis, sign = axes[code]
        affine[axis, column] = sign * zoom
    nibabel.save(nibabel.Nifti1Image(data, affine), path)
    return path


def numpy_images(kspace: np.ndarray) -> np.ndarray:
    shifted = np.fft.ifftshift(kspace.astype(np.complex128), axes=(-2, -1))
    return np.fft.fftshift(np.fft.ifft2(shifted, norm="ortho"), axes=(-2, -1))


def numpy_rss(kspace: np.ndarray) -> np.ndarray:
    return np.sqrt((np.abs(numpy_images(kspace)) ** 2).sum(axis=-3))


def complex_array(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


class TestOrientation:
    def test_axial_rows_run_from_anterior_and_columns_from_right(self, tmp_path):
        data = object_volume()
        volume = read_volume(save_nifti(tmp_path / "a.nii.gz", data), name="a", plane="axial")
        assert volume.images.shape == (12, 24, 20)
        assert volume.voxel_size == (1.5, 1.0, 3.0)
        for z, row, column in [(3, 5, 4), (3, 18, 15), (9, 20, 3)]:
            assert volume.images[z, row, column] == data[19 - column, 23 - row, z]

    def test_sagittal_and_coronal(self, tmp_path):
        data = object_volume()
        path = save_nifti(tmp_path / "a.nii.gz", data)
        sagittal = read_volume(path, name="a", plane="sagittal")
        coronal = read_volume(path, name="a", plane="coronal")
        assert (sagittal.images.shape, sagittal.voxel_size) == ((20, 12, 24), (3.0, 1.5, 1.0))
        assert (coronal.images.shape, coronal.voxel_size) == ((24, 12, 20), (3.0, 1.0, 1.5))
        np.testing.assert_array_equal(sagittal.images[4], data[4].T[::-1, ::-1])
        np.testing.assert_array_equal(coronal.images[5], data[:, 5].T[::-1, ::-1])

    @pytest.mark.parametrize("codes", [("L", "A", "S"), ("P", "S", "R"), ("L", "I", "A")])
    @pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
    def test_same_slices_however_the_file_is_stored(self, tmp_path, codes, plane):
        expected = read_volume(save_nifti(tmp_path / "ras.nii", object_volume()), name="a", plane=plane)
        image = nibabel.load(tmp_path / "ras.nii")
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(image.as_reoriented(turn), tmp_path / "other.nii")
        found = read_volume(tmp_path / "other.nii", name="a", plane=plane)
        np.testing.assert_array_equal(found.images, expected.images)
        assert found.voxel_size == pytest.approx(expected.voxel_size)

    def test_native_cuts_across_the_largest_voxels(self, tmp_path):
        data = object_volume((6, 20, 24))
        path = save_nifti(tmp_path / "knee.nii", data, zooms=(4.0, 0.6, 0.7))
        volume = read_volume(path, name="knee", plane="native")
        np.testing.assert_array_equal(volume.images, data)
        assert volume.voxel_size == pytest.approx((0.6, 0.7, 4.0))

    def test_frames_of_4d_files(self, tmp_path):
        data = np.stack([object_volume(), 2 * object_volume()], axis=-1)
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "t.nii")
        second = read_volume(tmp_path / "t.nii", name="t", plane="axial", frame=1)
        assert second.images.max() == 360.0
        with pytest.raises(ValueError, match=r"t\.nii.*2 volumes.*--frame"):
            read_volume(tmp_path / "t.nii", name="t", plane="axial")
        with pytest.raises(ValueError, match="frames 0 to 1"):
            read_volume(tmp_path / "t.nii", name="t", plane="axial", frame=2)

    def test_not_a_nifti_file(self, tmp_path):
        (tmp_path / "bad.nii.gz").write_bytes(b"no image")
        with pytest.raises(ValueError, match=r"bad\.nii\.gz: cannot be read"):
            read_volume(tmp_path / "bad.nii.gz", name="bad", plane="axial")

    @pytest.mark.parametrize("plane", ["axial", "native"])
    @pytest.mark.parametrize("suffix", ["nii.gz", "nii"])
    def test_truncated_file(self, tmp_path, plane, suffix):
        rng = np.random.default_rng(0)
        path = save_nifti(tmp_path / f"cut.{suffix}", rng.random((16, 16, 16)).astype(np.float32))
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(ValueError, match=r"cut\.nii.*cannot be read as a NIfTI image.*incomplete"):
            read_volume(path, name="cut", plane=plane)

    def test_damaged_frame(self, tmp_path):
        rng = np.random.default_rng(0)
        nibabel.save(nibabel.Nifti1Image(rng.random((8, 8, 8, 3)), np.eye(4)), tmp_path / "t.nii.gz")
        content = (tmp_path / "t.nii.gz").read_bytes()
        (tmp_path / "t.nii.gz").write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=r"t\.nii\.gz: cannot be read"):
            read_volume(tmp_path / "t.nii.gz", name="t", plane="axial", frame=2)

    def test_colors_and_complex_numbers_are_refused(self, tmp_path):
        rgb = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        for data, found in ((rgb, "colors"), (np.ones((4, 4, 4), dtype=np.complex64), "complex numbers")):
            nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / "x.nii")
            with pytest.raises(ValueError, match=rf"x\.nii: holds {found} .*expected real magnitudes"):
                read_volume(tmp_path / "x.nii", name="x", plane="axial")


class TestSimulation:
    def volume(self, images: np.ndarray, name: str = "v") -> ImageVolume:
        return ImageVolume(name, images.astype(np.float32), (1.0, 2.0, 3.0))

    def images(self) -> np.ndarray:
        return np.transpose(object_volume((32, 24, 6)), (2, 0, 1))

    def test_without_noise_the_target_is_the_image(self):
        images = self.images()
        acquisition = simulate_acquisition(self.volume(images), SimulationSettings(noise=0.0, min_foreground=0.1))
        for (kspace, target), image in zip(acquisition.slices, images[2:4], strict=True):
            assert kspace.shape == (6, 32, 24)
            assert kspace.dtype == np.complex64
            np.testing.assert_allclose(target, image, atol=2e-3)
            np.testing.assert_allclose(numpy_rss(kspace), target, atol=2e-3)

    def test_truncation_keeps_low_frequencies_and_field_of_view(self):
        y, x = np.meshgrid(np.arange(64) / 64, np.arange(48) / 48, indexing="ij")
        smooth = 10 + 3 * np.cos(2 * np.pi * 3 * y) + 2 * np.sin(2 * np.pi * 2 * x)
        acquisition = simulate_acquisition(
            self.volume(np.stack([smooth] * 2)), SimulationSettings(noise=0.0, matrix=32)
        )
        for _, target in acquisition.slices:
            # the lower resolution has its pixels at every second position
            np.testing.assert_allclose(target, smooth[::2, ::2], atol=1e-4)
        assert acquisition.header.recon_matrix == (32, 24, 1)
        assert acquisition.header.recon_fov == pytest.approx((64.0, 96.0, 3.0))
        assert acquisition.header.voxel_size[:2] == pytest.approx((2.0, 4.0))

    def test_noise_has_the_asked_for_level(self):
        images = np.zeros((1, 64, 64))
        images[0, 16:48, 16:48] = 50.0
        settings = SimulationSettings(coils=4, noise=0.02, readout_oversampling=2)
        [(kspace, target)] = simulate_acquisition(self.volume(images), settings).slices
        assert kspace.shape == (4, 128, 64)
        assert target.shape == (64, 64)
        outside = numpy_images(kspace)[:, :32]
        assert np.std(outside.real) == pytest.approx(0.02 * 50.0, rel=0.05)
        assert np.std(outside.imag) == pytest.approx(0.02 * 50.0, rel=0.05)
        np.testing.assert_allclose(target, numpy_rss(kspace)[32:96], atol=1e-3)
        assert np.sqrt(np.mean((target - images[0])[16:48, 16:48] ** 2)) == pytest.approx(1.0, rel=0.3)

    def test_keyed_by_name_slice_and_seed(self):
        def kspace(name: str, **settings) -> np.ndarray:
            return np.stack([k for k, _ in simulate_acquisition(volume(name), SimulationSettings(**settings)).slices])

        def volume(name: str) -> ImageVolume:
            return self.volume(np.stack([self.images()[2]] * 4), name)

        first = kspace("a")
        np.testing.assert_array_equal(first, kspace("a"))
        # leaving slices out does not change those that stay
        np.testing.assert_array_equal(first[::2], kspace("a", slice_step=2))
        for other in (kspace("b"), kspace("a", seed=1)):
            assert np.abs(other - first).max() > 1
        assert np.abs(first[0] - first[1]).max() > 1

    def test_nearly_empty_slices_are_dropped(self):
        images = np.zeros((9, 20, 20))
        images[1:8, 5:15, 5:15] = 10.0
        images[4] = 0.0
        images[7, 5:15, 5:15] = 0.9  # below a tenth of the 99th percentile

        def indices(**settings) -> list[int]:
            return (
                simulate_acquisition(self.volume(images), SimulationSettings(**settings))
                .attributes["slice_indices"]
                .tolist()
            )

        assert indices() == [1, 2, 3, 5, 6]
        assert indices(slice_step=2) == [1, 3, 6]
        assert indices(max_slices=2) == [2, 3]
        assert indices(min_foreground=0.0) == list(range(9))
        with pytest.raises(ValueError, match="lower min_foreground"):
            indices(min_foreground=0.5)

    def test_slice_distance_follows_the_step(self):
        images = np.stack([self.images()[2]] * 6)
        header = simulate_acquisition(self.volume(images), SimulationSettings(slice_step=2)).header
        assert header.voxel_size == pytest.approx((1.0, 2.0, 6.0))
        assert header.padding(24) == (0, 24)

    @pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN"), (-1.0, "at least 0")])
    def test_bad_values(self, value, message):
        images = self.images()
        images[0, 0, 0] = value
        with pytest.raises(ValueError, match=message):
            simulate_acquisition(self.volume(images), SimulationSettings())

    @pytest.mark.parametrize(
        "settings",
        [
            {"coils": 0},
            {"coils": "abc"},
            {"coils": 2.5},
            {"coils": True},
            {"matrix": 33},
            {"matrix": "x"},
            {"noise": -0.1},
            {"noise": float("nan")},
            {"noise": "loud"},
            {"max_slices": 0},
            {"slice_step": 1.5},
            {"min_foreground": 2.0},
            {"seed": "x"},
        ],
    )
    def test_bad_settings(self, settings):
        with pytest.raises(ValueError, match=f"{next(iter(settings))} is"):
            SimulationSettings(**settings)


class TestRaw:
    def save(self, tmp_path: Path, array: np.ndarray) -> Path:
        np.save(tmp_path / "raw.npy", array)
        return tmp_path / "raw.npy"

    def test_values_are_unchanged_bit_by_bit(self, tmp_path):
        raw = complex_array((3, 10, 16))
        path = self.save(tmp_path, raw)
        write_sources(raw_sources([path], Naming(), RawSettings()), tmp_path / "out", BRAIN, split="test")
        with h5py.File(tmp_path / "out" / "raw.h5") as file:
            kspace = file["kspace"][()]
            assert kspace.tobytes() == np.ascontiguousarray(raw.transpose(0, 2, 1)).tobytes()
            assert kspace.shape == (1, 3, 16, 10)
            np.testing.assert_allclose(file["reconstruction_rss"][()], numpy_rss(kspace), rtol=1e-5, atol=1e-5)
            assert file.attrs["source"] == "measured"
            assert file.attrs["noise"] == 0
            assert "mask" not in file

    def test_slices_of_one_coil(self, tmp_path):
        raw = complex_array((5, 8, 6))
        acquisition = read_raw(self.save(tmp_path, raw), RawSettings(axes=("slice", "phase", "readout")))
        slices = list(acquisition.slices)
        assert len(slices) == 5
        np.testing.assert_array_equal(slices[3][0][0], raw[3].T)

    def test_coil_images_become_kspace(self, tmp_path):
        images = complex_array((2, 9, 12))
        settings = RawSettings(axes=("coil", "readout", "phase"), domain="image")
        [(kspace, target)] = read_raw(self.save(tmp_path, images), settings).slices
        np.testing.assert_allclose(numpy_images(kspace), images, atol=1e-5)
        np.testing.assert_allclose(target, np.sqrt((np.abs(images) ** 2).sum(0)), rtol=1e-5)

    def test_readout_oversampling_crops_the_target(self, tmp_path):
        raw = complex_array((2, 10, 16))
        acquisition = read_raw(self.save(tmp_path, raw), RawSettings(readout_oversampling=2))
        [(kspace, target)] = acquisition.slices
        np.testing.assert_allclose(target, numpy_rss(kspace)[4:12], rtol=1e-5)
        assert acquisition.header.encoded_matrix == (16, 10, 1)
        assert acquisition.header.recon_matrix == (8, 10, 1)

    def test_missing_columns_become_a_mask(self, tmp_path):
        raw = complex_array((2, 10, 16))
        raw[:, [1, 2, 7]] = 0
        path = self.save(tmp_path, raw)
        write_sources(raw_sources([path], Naming(), RawSettings()), tmp_path / "out", BRAIN, split="test")
        with FastMRIFile(tmp_path / "out" / "raw.h5") as file:
            assert file.info.target_name is None
            mask = file.read_mask()
            assert mask is not None
            assert torch.nonzero(~mask[0, 0]).flatten().tolist() == [1, 2, 7]

    def test_missing_samples_give_neither_mask_nor_target(self, tmp_path):
        raw = complex_array((2, 10, 16))
        raw[:, 3, 4] = 0
        acquisition = read_raw(self.save(tmp_path, raw), RawSettings())
        assert acquisition.mask is None
        assert [target for _, target in acquisition.slices] == [None]
        [(_, forced)] = read_raw(self.save(tmp_path, raw), RawSettings(target="rss")).slices
        assert forced is not None
        np.testing.assert_allclose(forced, numpy_rss(raw.transpose(0, 2, 1)), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        ("array", "message"),
        [
            (np.ones((2, 4, 4)), "expected complex.*--kind images"),
            (np.ones((4, 4), dtype=complex), r"shape \(4, 4\).*axes name 3"),
            (np.zeros((2, 4, 4), dtype=complex), "zero everywhere"),
            (np.full((2, 4, 4), np.nan, dtype=complex), "NaN"),
        ],
    )
    def test_bad_arrays(self, tmp_path, array, message):
        with pytest.raises(ValueError, match=message):
            read_raw(self.save(tmp_path, array), RawSettings())

    def test_bad_settings(self):
        for settings in ({"axes": ("coil", "phase")}, {"axes": ("coil", "coil", "phase")}, {"domain": "fourier"}):
            with pytest.raises(ValueError, match=r"axes are|domain is"):
                RawSettings(**settings)


class TestInputs:
    def test_subjects(self):
        path = Path("sub-07_ses-1_T1w.nii.gz")
        assert Naming().subject_of(path, "sub-07_ses-1_T1w") == "sub-07"
        assert Naming(prefix="ds1").subject_of(path, "sub-07_ses-1_T1w") == "ds1_sub-07"
        assert Naming(subject_regex=r"ses-(\d)").subject_of(path, "x") == "1"
        assert Naming(subject="me").subject_of(path, "x") == "me"
        assert Naming().subject_of(Path("knee 1.nii"), "knee 1") == "knee_1"
        with pytest.raises(ValueError, match="does not match"):
            Naming(subject_regex="pat").subject_of(path, "x")

    def test_folders_patterns_and_kinds(self, tmp_path):
        for name in ("b.nii.gz", "a.nii", "notes.txt"):
            (tmp_path / name).touch()
        expected = [tmp_path / "a.nii", tmp_path / "b.nii.gz"]
        assert expand_inputs([tmp_path]) == expected
        assert expand_inputs([str(tmp_path / "*.nii*"), tmp_path / "a.nii"]) == expected
        assert find_kind(expected) == "volumes"
        np.save(tmp_path / "c.npy", np.ones((2, 2, 2), dtype=complex))
        assert find_kind([tmp_path / "c.npy"]) == "raw"
        with pytest.raises(ValueError, match="different kinds"):
            find_kind([*expected, tmp_path / "c.npy"])
        with pytest.raises(FileNotFoundError, match="nothing"):
            expand_inputs([tmp_path / "nothing*.nii"])

    def test_images_are_grouped_by_subject(self, tmp_path):
        rng = np.random.default_rng(0)
        images = rng.integers(1, 255, (5, 16, 16), dtype=np.uint8)
        np.savez(tmp_path / "hearts.npz", image=images, subject=np.array(["b", "a", "b", "a", "b"]))
        sources = image_sources([tmp_path / "hearts.npz"], Naming(), SimulationSettings(noise=0.0))
        assert [(s.name, s.subject) for s in sources] == [("b", "b"), ("a", "a")]
        targets = [target for _, target in sources[0].load().slices]
        np.testing.assert_allclose(np.stack(targets), images[[0, 2, 4]], atol=0.01)

    def test_bad_images(self, tmp_path):
        np.save(tmp_path / "flat.npy", np.ones((4, 4)))
        np.savez(tmp_path / "named.npz", picture=np.ones((2, 4, 4)))
        np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
        for name, message in (("flat.npy", r"\(N, H, W\)"), ("named.npz", "picture"), ("objects.npy", "plain arrays")):
            with pytest.raises(ValueError, match=message):
                image_sources([tmp_path / name], Naming(), SimulationSettings())


class TestSplit:
    def folder(self, tmp_path: Path, names: list[str], **arguments) -> Path:
        paths = [save_nifti(tmp_path / f"{name}_T1w.nii.gz", object_volume()) for name in names]
        sources = volume_sources(paths, Naming(), SimulationSettings(coils=2, max_slices=1), plane="axial", frame=None)
        write_sources(sources, tmp_path / "out", BRAIN, **arguments)
        return tmp_path / "out"

    def test_disjoint_and_stable_when_extended(self, tmp_path):
        first = self.folder(tmp_path, [f"sub-{n:02d}" for n in range(8)])
        before, _ = read_assignment(first)
        self.folder(tmp_path, [f"sub-{n:02d}" for n in range(8, 12)])
        after, subjects = read_assignment(first)
        assert {name: after[name] for name in before} == before
        assert len(after) == 12
        places: dict[str, set[str]] = {}
        for name, part in after.items():
            places.setdefault(subjects[name], set()).add(part)
        assert all(len(parts) == 1 for parts in places.values())
        counts = [len(read_split(first, part)) for part in ("train", "val", "test")]
        assert counts == [8, 2, 2]

    def test_another_contrast_of_a_subject_joins_it(self, tmp_path):
        folder = self.folder(tmp_path, [f"sub-{n}" for n in range(4)])
        paths = [save_nifti(tmp_path / f"sub-{n}_T2w.nii.gz", object_volume()) for n in range(4)]
        sources = volume_sources(paths, Naming(), SimulationSettings(coils=2, max_slices=1), plane="axial", frame=None)
        write_sources(sources, folder, BRAIN)
        parts, _ = read_assignment(folder)
        for n in range(4):
            assert parts[f"sub-{n}_T1w_axial.h5"] == parts[f"sub-{n}_T2w_axial.h5"]

    def test_forced_part(self, tmp_path):
        folder = self.folder(tmp_path, ["sub-1", "sub-2"], split="test")
        parts, _ = read_assignment(folder)
        assert set(parts.values()) == {"test"}
        path = save_nifti(tmp_path / "sub-1_T2w.nii", object_volume())
        sources = volume_sources([path], Naming(), SimulationSettings(coils=2), plane="axial", frame=None)
        with pytest.raises(ValueError, match="sub-1 is in 'test' already"):
            write_sources(sources, folder, BRAIN, split="train")

    def test_nothing_is_overwritten_unasked(self, tmp_path):
        folder = self.folder(tmp_path, ["sub-1"], split="train")
        before = (folder / "sub-1_T1w_axial.h5").read_bytes()
        with pytest.raises(FileExistsError, match=r"sub-1_T1w_axial\.h5.*--overwrite"):
            self.folder(tmp_path, ["sub-2", "sub-1"])
        assert sorted(p.name for p in folder.iterdir()) == ["split.json", "sub-1_T1w_axial.h5"]
        assert (folder / "sub-1_T1w_axial.h5").read_bytes() == before
        self.folder(tmp_path, ["sub-1"], split="val", overwrite=True)
        assert read_assignment(folder)[0] == {"sub-1_T1w_axial.h5": "val"}

    def test_same_name_twice(self, tmp_path):
        for place in ("a", "b"):
            (tmp_path / place).mkdir()
        paths = [save_nifti(tmp_path / place / "T1.nii", object_volume()) for place in ("a", "b")]
        sources = volume_sources(paths, Naming(), SimulationSettings(), plane="axial", frame=None)
        with pytest.raises(ValueError, match=r"both become T1_axial\.h5.*--prefix"):
            write_sources(sources, tmp_path / "out", BRAIN)

    def test_assignment_follows_fractions_in_any_order(self):
        names = [f"s{n}" for n in range(20)]
        places = assign_subjects(names, {}, (0.7, 0.15, 0.15), seed=0)
        counts = {part: list(places.values()).count(part) for part in ("train", "val", "test")}
        assert counts == {"train": 14, "val": 3, "test": 3}
        assert assign_subjects(names[::-1], {}, (0.7, 0.15, 0.15), seed=0) == places
        assert assign_subjects(names, {}, (0.7, 0.15, 0.15), seed=1) != places
        with pytest.raises(SplitError, match="sum 1"):
            assign_subjects(names, {}, (0.7, 0.15), seed=0)

    def test_a_subject_in_two_parts_is_refused(self, tmp_path):
        with pytest.raises(SplitError, match="subject s would be in"):
            write_assignment(tmp_path, ({"a.h5": "train", "b.h5": "test"}, {"a.h5": "s", "b.h5": "s"}), seed=0)

    def test_broken_split_file(self, tmp_path):
        (tmp_path / "split.json").write_text(json.dumps({"train": ["a.h5"]}))
        with pytest.raises(SplitError, match=r"gives no subject for a\.h5"):
            read_assignment(tmp_path)
        (tmp_path / "split.json").write_text("{")
        with pytest.raises(SplitError, match="cannot be read as JSON"):
            read_assignment(tmp_path)

    def test_an_empty_part_is_filled_from_the_new_subjects_only(self):
        places = assign_subjects(["a", "b", "c"], {}, (0.8, 0.1, 0.1), seed=0)
        assert sorted(places.values()) == ["test", "train", "val"]
        existing = {"a": "train", "b": "train", "c": "train"}
        later = assign_subjects(["a", "d"], existing, (1.0, 0.0, 0.0), seed=0)
        assert later == {"a": "train", "d": "train"}
        assert assign_subjects(["a"], existing, (0.8, 0.1, 0.1), seed=0) == {"a": "train"}
        many = assign_subjects(["d", "e"], existing, (0.98, 0.01, 0.01), seed=0)
        assert set(many.values()) == {"val", "test"}

    def test_assignment_of_the_public_brains_is_kept(self):
        """Golden values: docs/data.md and the published weights rest on these parts."""
        brains = [f"ds000011_sub-{number:02d}" for number in (1, 2, 3, 4, 5, 7, 9, 11, 13)]
        places = assign_subjects(brains, {}, (0.7, 0.1, 0.2), seed=0)
        assert {part: [b[-2:] for b in brains if places[b] == part] for part in ("val", "test")} == {
            "val": ["02"],
            "test": ["01", "13"],
        }

    def test_empty_parts_are_warned_of(self, tmp_path, caplog):
        self.folder(tmp_path, ["sub-1", "sub-2"], split="train")
        for part in ("val", "test"):
            assert f"the {part} part is empty" in caplog.text
            assert f"--split {part}" in caplog.text
        caplog.clear()
        self.folder(tmp_path, ["sub-3"], split="val")
        assert "the val part is empty" not in caplog.text
        assert "the test part is empty" in caplog.text
        caplog.clear()
        self.folder(tmp_path, ["sub-4"], split="test")
        assert "is empty" not in caplog.text

    def test_a_folder_for_testing_only_is_not_warned_of(self, tmp_path, caplog):
        self.folder(tmp_path, ["sub-1"], split="test")
        assert "is empty" not in caplog.text


def test_files_say_what_they_are(tmp_path):
    path = save_nifti(tmp_path / "sub-1_T1w.nii", object_volume())
    settings = SimulationSettings(coils=3, noise=0.02)
    sources = volume_sources([path], Naming(prefix="ds"), settings, plane="axial", frame=None)
    summary = write_sources(sources, tmp_path / "out", BRAIN, split="train")
    assert summary.subjects == {"train": 1, "val": 0, "test": 0}
    with h5py.File(summary.files[0]) as file:
        target = file["reconstruction_rss"][()]
        attributes = dict(file.attrs)
    assert summary.num_slices == len(target) == 8
    assert attributes["max"] == pytest.approx(target.max())
    assert attributes["norm"] == pytest.approx(np.linalg.norm(target), rel=1e-5)
    expected = {
        "acquisition": "AXT1",
        "anatomy": "brain",
        "patient_id": "ds_sub-1",
        "origin": "made for this test",
        "source": "simulated",
        "coils": 3,
        "noise": 0.02,
    }
    assert {name: attributes[name] for name in expected} == expected
    with FastMRIFile(summary.files[0]) as opened:
        assert opened.info.header.voxel_size == pytest.approx((1.5, 1.0, 3.0))
        assert opened.info.padding == (0, 20)
