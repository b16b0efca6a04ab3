"""The square field of view: which rows, at which scale, with which target, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from recon_monai.engines import ReconstructionInferer
from recon_monai.physics import RandomMask, center_crop_or_pad, fft2c, ifft2c, rss
from recon_monai.transforms import SquareFieldOfViewd, Undersampled, ZeroFilledd

MASK = RandomMask(center_fractions=[0.2], accelerations=[2])


def item(height: int = 40, width: int = 24, output=(20, 20), target: bool = True, **changes):
    """Fully sampled coil images without structure, in complex128; the target is the center of their RSS."""
    generator = torch.Generator().manual_seed(height + width)
    images = torch.randn(3, height, width, dtype=torch.complex128, generator=generator)
    found = {
        "kspace": fft2c(images),
        "file": "a.h5",
        "slice": 4,
        "padding": torch.tensor([0, width]),
        "output_size": torch.tensor(output),
        "images": images,
    }
    if target:
        found |= {"target": center_crop_or_pad(rss(images, dim=0), output), "maximum": float(rss(images, dim=0).max())}
    return {**found, **changes}


@pytest.mark.parametrize(("height", "width"), [(40, 24), (41, 24), (40, 23), (41, 23)])
def test_the_image_keeps_its_values_in_the_middle_rows(height, width):
    given = item(height, width)
    result = SquareFieldOfViewd()(given)
    image = ifft2c(result["kspace"])
    assert image.shape == (3, width, width)
    fits = [
        first
        for first in range(height - width + 1)
        if torch.allclose(image, given["images"][:, first : first + width], rtol=0, atol=1e-12)
    ]
    assert len(fits) == 1, "the rows are some of the image's, unchanged"
    assert abs(fits[0] - (height - width) / 2) <= 1
    assert given["kspace"].shape == (3, height, width), "the given item must stay as it is"


@pytest.mark.parametrize("height", [40, 41])
@pytest.mark.parametrize("width", [23, 24])
@pytest.mark.parametrize("rows", [9, 10, 20, 21])
def test_output_and_target_are_those_of_the_whole_image(height, width, rows):
    """To the pixel, whichever sizes are odd: the inferer's crop of the square is the crop of the file."""
    given = item(height, width, (rows, 18))
    result = ZeroFilledd()(SquareFieldOfViewd()(given))
    torch.testing.assert_close(result["zero_filled"], given["target"], rtol=0, atol=1e-12)
    assert result["target"] is given["target"]
    inferred = ReconstructionInferer()(
        result["kspace"][None],
        lambda kspace, mask: rss(ifft2c(kspace)),
        output_size=(rows, 18),
    )
    torch.testing.assert_close(inferred[0], given["target"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("rows", [24, 29, 30, 39, 40, 46])
def test_rows_that_the_output_shows_are_never_cropped(rows):
    given = item(40, 23, (rows, 30))
    result = SquareFieldOfViewd()(given)
    assert result["kspace"].shape == (3, min(rows, 40), 23)
    torch.testing.assert_close(ZeroFilledd()(result)["zero_filled"], given["target"], rtol=0, atol=1e-12)


def test_a_readout_without_oversampling_stays_whole():
    """More rows than columns, all of which the target shows: 256 x 216 of a head, for example."""
    given = item(output=(40, 24), mask=torch.rand(1, 40, 24) > 0.5)
    result = SquareFieldOfViewd()(given)
    assert result["kspace"] is given["kspace"]
    assert result["mask"] is given["mask"], "masks of single samples too, as nothing is to be cropped"


def test_cropping_commutes_with_undersampling_and_leaves_gaps_exactly_zero():
    given = item()
    mask, crop = Undersampled(MASK), SquareFieldOfViewd()
    first, second = mask(crop(given)), crop(mask(given))
    assert torch.equal(first["mask"], second["mask"])
    assert first["mask"].shape == (1, 1, 24)
    torch.testing.assert_close(first["kspace"], second["kspace"], rtol=0, atol=1e-12)
    gaps = ~second["mask"].flatten()
    assert gaps.any()
    assert second["kspace"][..., gaps].abs().max() == 0


def test_white_noise_keeps_its_standard_deviation_and_stays_white():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 40, 24, dtype=torch.complex128, generator=generator)
    result = SquareFieldOfViewd()(item(kspace=noise))["kspace"]
    assert float(result.abs().square().mean()) == pytest.approx(1, abs=0.01)
    rows = result.transpose(1, 2).reshape(-1, 24)
    covariance = rows.T @ rows.conj() / len(rows)
    assert (covariance - torch.eye(24)).abs().max() < 0.07


@pytest.mark.parametrize(("height", "width"), [(24, 24), (20, 24)])
def test_no_other_axis_is_cropped(height, width):
    given = item(height, width)
    result = SquareFieldOfViewd()(given)
    assert result["kspace"] is given["kspace"]
    assert result["target"] is given["target"]
    assert result["output_size"].tolist() == [20, 20]


@pytest.mark.parametrize(("height", "width"), [(40, 24), (20, 24)])
def test_a_target_of_the_whole_field_of_view(height, width):
    given = item(height, width)
    result = SquareFieldOfViewd(full_target=True)(given)
    rows = min(height, width)
    first = (height - rows) // 2
    expected = given["images"][:, first : first + rows].abs().square().sum(0).sqrt()
    torch.testing.assert_close(result["target"], expected[None], rtol=0, atol=1e-12)
    assert result["output_size"].tolist() == [rows, width]
    assert result["maximum"] == given["maximum"]
    center = center_crop_or_pad(result["target"], (20, 20))
    torch.testing.assert_close(center, given["target"], rtol=0, atol=1e-12)


def test_a_full_target_needs_complete_kspace():
    with pytest.raises(ValueError, match=r"a\.h5 slice 4: .*acquired undersampled already"):
        SquareFieldOfViewd(full_target=True)(Undersampled(MASK)(item()))


def test_files_with_a_mask_of_their_own_keep_it():
    """The paired layout: complete k-space and the mask to apply."""
    own = torch.arange(24).remainder(3).eq(0).reshape(1, 1, 24)
    result = Undersampled(None)(SquareFieldOfViewd(full_target=True)(item(mask=own, acceleration=3)))
    assert torch.equal(result["mask"], own)
    assert result["acceleration"] == 3
    assert result["target"].shape == (1, 24, 24)
    assert result["kspace"][..., ~own.flatten()].abs().max() == 0


def test_masks_of_single_samples():
    columns = torch.arange(24).remainder(3).eq(0).reshape(1, 1, 24)
    result = SquareFieldOfViewd()(item(mask=columns.expand(1, 40, 24)))
    assert torch.equal(result["mask"], columns), "equal rows are a mask of columns"
    other = columns.expand(1, 40, 24).clone()
    other[:, 7] = True
    with pytest.raises(ValueError, match=r"a\.h5 slice 4: its mask samples other columns in other rows"):
        SquareFieldOfViewd()(item(mask=other))
    square = item(24, 24, mask=other[:, :24])
    assert SquareFieldOfViewd()(square)["mask"] is square["mask"], "nothing to crop"


def test_zeros_tell_of_a_mask_that_is_not_given():
    full = item()
    columns = torch.arange(24).remainder(3).ne(0)
    assert SquareFieldOfViewd()({**full, "kspace": full["kspace"] * columns})["kspace"].shape == (3, 24, 24)
    rows = torch.arange(40)[:, None] > 9
    assert SquareFieldOfViewd()({**full, "kspace": full["kspace"] * rows})["kspace"].shape == (3, 24, 24)
    single = torch.rand(40, 24, generator=torch.Generator().manual_seed(2)) > 0.5
    with pytest.raises(ValueError, match=r"a\.h5 slice 4: its k-space holds other columns in other rows"):
        SquareFieldOfViewd()({**full, "kspace": full["kspace"] * single})


def test_files_without_target():
    """The size that the header states counts; where it states none, nothing tells of oversampling."""
    stated = SquareFieldOfViewd(full_target=True)(item(target=False))
    assert stated["output_size"].tolist() == [20, 20]
    assert "target" not in stated
    unknown = SquareFieldOfViewd()(item(target=False, output=(40, 24)))
    assert unknown["output_size"].tolist() == [40, 24]
    assert unknown["kspace"].shape == (3, 40, 24)
