"""Bundles from Python give what their command gives, and say in a sentence what is wrong."""

from __future__ import annotations

import h5py
import nibabel
import pytest
import torch
from bundle_tools import ROOT, TINY
from mdcsrn_tools import TINY_MDCSRN, write_head

import recon_monai
from recon_monai.inference import ReconstructionBundle, SuperResolutionBundle, load_bundle
from recon_monai.metrics import nmse
from recon_monai.networks import MDCSRN, VarNet
from recon_monai.physics import EquispacedFractionMask, center_crop_or_pad, seed_from_name

BUNDLES = ROOT / "bundles"


@pytest.fixture(scope="module")
def bundle() -> ReconstructionBundle:
    loaded = load_bundle(BUNDLES / "weighted_dircn", acceleration=4, device="cpu", square_field_of_view=False)
    assert isinstance(loaded, ReconstructionBundle)
    return loaded


@torch.no_grad()
def test_a_file_is_reconstructed_as_by_hand(bundle, tiny_data):
    path = tiny_data / "subject0.h5"
    (volume,) = bundle.reconstruct(path)
    with h5py.File(path) as file:
        kspace = torch.from_numpy(file["kspace"][()])
        target = torch.from_numpy(file["reconstruction_rss"][()])
    mask = EquispacedFractionMask([0.08, 0.04], [4, 8])
    sampled = mask(kspace.shape[-2:], seed=seed_from_name(path.name), acceleration=4).mask
    by_hand = center_crop_or_pad(bundle.network(kspace * sampled, sampled[None]), target.shape[-2:])[:, 0]
    torch.testing.assert_close(volume.images["pred"], by_hand)
    assert volume.slices == (0, 1)
    assert volume.metadata["acceleration"] == 4
    assert nmse(prediction=volume.images["pred"], target=target) < 1


def test_several_files_and_what_is_written(bundle, tiny_data, tmp_path):
    files = [tiny_data / "subject0.h5", tiny_data / "subject1.h5"]
    volumes = bundle.reconstruct(files, tmp_path / "out")
    assert [volume.key.file for volume in volumes] == ["subject0.h5", "subject1.h5"]
    with h5py.File(tmp_path / "out" / "subject1.h5") as file:
        torch.testing.assert_close(torch.from_numpy(file["reconstruction"][()]), volumes[1].images["pred"])
    with pytest.raises(FileExistsError, match="exists already"):
        bundle.reconstruct(files, tmp_path / "out")


def test_data_that_were_never_trained_are_warned_of(bundle, tiny_data, caplog):
    bundle.reconstruct(tiny_data / "subject0.h5")
    assert "were never trained" in caplog.text


def test_weights_and_options_of_ones_own(tiny_data, tmp_path):
    torch.manual_seed(0)
    network = VarNet(num_cascades=1, channels=2, sensitivity_channels=2, pools=2)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    options = {name: value for name, value in TINY.items() if name != "num_workers"}
    overlays = [BUNDLES / "universal_varnet" / "configs" / "evaluate_plain.json"]
    loaded = load_bundle(
        BUNDLES / "universal_varnet", ckpt=tmp_path / "model.pt", overlays=overlays, device="cpu", **options
    )
    assert isinstance(loaded.network, VarNet)
    assert loaded.weights == tmp_path / "model.pt"
    assert all(torch.equal(value, loaded.network.state_dict()[name]) for name, value in network.named_parameters())
    assert loaded.reconstruct(tiny_data / "subject0.h5")[0].images["pred"].shape == (2, 48, 48)


def test_a_volume_is_super_resolved(tmp_path):
    write_head(tmp_path / "head_T1w.nii.gz", 0)
    options = dict(TINY_MDCSRN)
    torch.manual_seed(0)
    torch.save(MDCSRN(1, 1, 2, 2, residual=True).state_dict(), tmp_path / "model.pt")
    loaded = load_bundle(BUNDLES / "mdcsrn_wgan_gp", ckpt=tmp_path / "model.pt", device="cpu", **options)
    assert isinstance(loaded, SuperResolutionBundle)
    (done,) = loaded.super_resolve(tmp_path / "head_T1w.nii.gz", tmp_path / "out", factor=[1, 1, 2])
    coarse, fine = nibabel.load(tmp_path / "head_T1w.nii.gz").shape, nibabel.load(done.image).shape
    assert fine == (*coarse[:2], 2 * coarse[2])


def test_mistakes_are_said(tmp_path, tiny_data):
    with pytest.raises(FileNotFoundError, match=r"is no bundle: there is no .*inference\.json"):
        load_bundle(tmp_path)
    with pytest.raises(ValueError, match="did you mean acceleration"):
        load_bundle(BUNDLES / "universal_varnet", accelration=4)
    with pytest.raises(FileNotFoundError, match="neither a file nor in"):
        load_bundle(BUNDLES / "universal_varnet", overlays=["tiny.json"])
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_bundle(BUNDLES / "universal_varnet", ckpt=tmp_path / "none.pt")
    torch.save(VarNet(1, 2, 2, 2).state_dict(), tmp_path / "foreign.pt")
    with pytest.raises(ValueError, match=r"foreign\.pt"):
        load_bundle(BUNDLES / "weighted_dircn", ckpt=tmp_path / "foreign.pt")


def test_the_package_offers_it():
    assert recon_monai.load_bundle is load_bundle
