"""Batches and inference: what reaches the network, and what comes back."""

from __future__ import annotations

import pytest
import torch

from recon_monai.engines import PrepareReconstructionBatch, ReconstructionInferer
from recon_monai.networks import VarNet


def batch(**changes):
    return {
        "kspace": torch.randn(2, 3, 8, 6, dtype=torch.complex64),
        "mask": torch.ones(2, 1, 1, 6, dtype=torch.bool),
        "target": torch.rand(2, 1, 4, 10),
        "output_size": torch.tensor([[4, 10], [4, 10]]),
        "file": ["a.h5", "b.h5"],
        "slice": torch.tensor([1, 2]),
        **changes,
    }


def test_parts_of_a_batch():
    given = batch()
    kspace, target, args, kwargs = PrepareReconstructionBatch()(given, "cpu")
    assert torch.equal(kspace, given["kspace"])
    assert torch.equal(target, given["target"])
    assert args == ()
    assert kwargs["output_size"] == (4, 10)
    assert torch.equal(kwargs["mask"], given["mask"])
    assert kwargs["where"] == "a.h5 slice 1, b.h5 slice 2"


def test_files_without_target_or_mask():
    given = batch()
    del given["target"], given["mask"]
    _, target, _, kwargs = PrepareReconstructionBatch()(given, "cpu")
    assert target is None
    assert kwargs["mask"] is None


def test_mixed_output_sizes_are_refused():
    with pytest.raises(ValueError, match=r"different output sizes.*a\.h5.*batch_size 1"):
        PrepareReconstructionBatch()(batch(output_size=torch.tensor([[4, 10], [4, 9]])), "cpu")


def test_inferer_crops_and_pads_about_the_center():
    image = torch.arange(48.0).reshape(1, 1, 8, 6)
    seen = []

    def network(kspace, mask):
        seen.append(mask)
        return image

    result = ReconstructionInferer()(torch.zeros(1), network, mask="the mask", output_size=(4, 10))
    assert seen == ["the mask"]
    assert result.shape == (1, 1, 4, 10)
    assert torch.equal(result[0, 0, :, 2:8], image[0, 0, 2:6])
    assert result[..., :2].abs().sum() == 0
    assert torch.equal(ReconstructionInferer()(torch.zeros(1), network), image)


def test_what_the_network_refuses_names_file_and_slice():
    network = VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2)
    kspace = torch.randn(1, 2, 16, 16, dtype=torch.complex64)
    mask = torch.ones(1, 1, 1, 16, dtype=torch.bool)
    mask[..., 8] = False
    with pytest.raises(ValueError, match=r"a\.h5 slice 3: the center of k-space .* was not sampled"):
        ReconstructionInferer()(kspace, network, mask=mask, where="a.h5 slice 3")


def test_values_that_are_not_finite_are_seen_through_the_network():
    """A NaN in the data or in the weights must not come out as a black image."""
    network = VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2)
    kspace = torch.randn(1, 2, 16, 16, dtype=torch.complex64)
    bad = kspace.clone()
    bad[0, 1, 2, 8] = float("nan")
    with pytest.raises(ValueError, match=r"a\.h5 slice 3: k-space holds values that are not finite"):
        ReconstructionInferer()(bad, network, where="a.h5 slice 3")
    torch.nn.init.constant_(network.cascades[0].refinement.unet.head.bias, float("nan"))
    with pytest.raises(FloatingPointError, match=r"a\.h5 slice 3: the reconstruction is not finite .* diverged"):
        ReconstructionInferer()(kspace, network, where="a.h5 slice 3")


def test_anatomies_become_their_place_among_the_names():
    prepare = PrepareReconstructionBatch(anatomies=["knee", "heart", "brain"])
    _, _, _, kwargs = prepare(batch(anatomy=["brain", "knee"]), "cpu")
    assert kwargs["anatomy"].dtype == torch.int64
    assert kwargs["anatomy"].tolist() == [2, 0]
    _, _, _, kwargs = PrepareReconstructionBatch()(batch(anatomy=["brain", "knee"]), "cpu")
    assert "anatomy" not in kwargs


def test_anatomies_that_are_not_known_are_refused():
    prepare = PrepareReconstructionBatch(anatomies=["knee", "brain"])
    with pytest.raises(ValueError, match=r"b\.h5 shows the anatomy 'heart', expected .*\['knee', 'brain'\]"):
        prepare(batch(anatomy=["brain", "heart"]), "cpu")
    for names in ([], ["knee", "knee"]):
        with pytest.raises(ValueError, match="one or more different names"):
            PrepareReconstructionBatch(anatomies=names)
