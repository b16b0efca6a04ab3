"""Networks as files of other formats, against the networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recon_monai.networks import DIRCN, MDCSRN, KspaceNetwork, UniversalVarNet, VarNet, model_files
from recon_monai.networks.model_files import check_model, write_model

NETWORKS = {
    "varnet": lambda: VarNet(2, 2, 2, 1),
    "universal": lambda: UniversalVarNet(["brain", "knee"], 1, 2, 2, 1, certainty=0.5),
    "mixing": lambda: UniversalVarNet(["brain", "knee"], 1, 2, 2, 1, certainty=1.0),
    "dircn": lambda: DIRCN(2, 2, 2, groups=1, sensitivity_groups=1),
    "mdcsrn": lambda: MDCSRN(2, 2, 4, 4, residual=False),
}
SLOW = pytest.mark.slow


@pytest.fixture
def network(request) -> torch.nn.Module:
    torch.manual_seed(0)
    made = NETWORKS[request.param]()
    with torch.no_grad():
        for parameter in made.parameters():  # scales and shifts, too, are not what training starts with
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("varnet", {"model_format": "torchscript"}),
        pytest.param("varnet", {"model_format": "onnx"}, marks=SLOW),
        ("mdcsrn", {"model_format": "torchscript"}),
        ("mdcsrn", {"model_format": "onnx"}),
        pytest.param("mdcsrn", {"model_format": "torch_export", "shape": (1, 1, 9, 11, 13)}, marks=SLOW),
        pytest.param("varnet", {"model_format": "onnx", "mask": "any"}, marks=SLOW),
        pytest.param("universal", {"model_format": "torchscript"}, marks=SLOW),
        pytest.param("universal", {"model_format": "onnx"}, marks=SLOW),
        pytest.param("mixing", {"model_format": "onnx"}, marks=SLOW),
        pytest.param("universal", {"model_format": "torch_export", "shape": (2, 3, 33, 37)}, marks=SLOW),
        pytest.param("dircn", {"model_format": "torchscript"}, marks=SLOW),
        pytest.param("dircn", {"model_format": "onnx"}, marks=SLOW),
        pytest.param("dircn", {"model_format": "torch_export", "shape": (2, 3, 33, 37)}, marks=SLOW),
    ],
    indirect=["network"],
)
def test_files_compute_what_the_network_does(network, options, tmp_path):
    network.train()
    write_model(network, tmp_path / "model", **options)
    found = check_model(network, tmp_path / "model", **options)
    assert len(found) == (1 if "shape" in options else 5)
    assert max(found.values()) < 2e-5
    assert network.training, "as it was"


@pytest.mark.parametrize("network", ["varnet"], indirect=True)
def test_torchscript_by_itself(network, tmp_path):
    """As MONAI's ckpt_export makes it: k-space real or complex, with and without a mask, of columns or of samples."""
    network.eval()
    torch.jit.save(torch.jit.script(network), tmp_path / "model.ts")
    loaded = torch.jit.load(tmp_path / "model.ts")
    for kind in ("columns", "any"):
        kspace, mask = model_files._example(network, (2, 3, 33, 37), kind)
        with torch.no_grad():
            expected = network(kspace, mask)
            for given in ((kspace, mask), (kspace,), (torch.view_as_complex(kspace), mask.float())):
                torch.testing.assert_close(loaded(*given), expected, rtol=1e-4, atol=1e-5 * float(expected.max()))
    with pytest.raises(Exception, match="mask must have the shape"):
        loaded(kspace, mask[..., 1:])
    with pytest.raises(Exception, match="k-space must be complex"):
        loaded(kspace[..., 0], mask)
    missing = mask.clone()
    missing[1, ..., 16, 18] = False
    result = loaded(kspace, missing)
    assert bool(result[1].isnan().all()), "nothing to calibrate on, and no way to say so in a sentence"
    assert bool(result[0].isfinite().all())


@SLOW
def test_onnx_has_real_inputs_of_free_sizes(tmp_path):
    onnx = pytest.importorskip("onnx")
    write_model(VarNet(1, 2, 2, 1), tmp_path / "model.onnx", "onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    sizes = {
        value.name: [part.dim_param or part.dim_value for part in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert sizes["kspace"] == ["batch", "coils", "height", "width", 2]
    assert sizes["mask"] == ["batch", 1, 1, "width"]
    assert [value.type.tensor_type.elem_type for value in graph.input] == [
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.BOOL,
    ]
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"))


@pytest.mark.parametrize("network", ["mdcsrn"], indirect=True)
def test_a_file_that_differs_is_refused(network, tmp_path):
    write_model(network, tmp_path / "model.ts", "torchscript")
    with torch.no_grad():
        network.head.weight.mul_(1.001)
    with pytest.raises(ValueError, match=r"model\.ts differs from the network by 1\.0e-03 .* expected at most 1e-04"):
        check_model(network, tmp_path / "model.ts", "torchscript")
    with torch.no_grad():
        network.head.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="differs from the network by nan"):
        check_model(network, tmp_path / "model.ts", "torchscript")


def test_what_cannot_be_offered_is_said(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="of networks from k-space to images and of MDCSRN, not of Identity"):
        write_model(torch.nn.Identity(), tmp_path / "model.ts", "torchscript")
    with pytest.raises(ValueError, match="unknown format 'tflite'; use one of torchscript, onnx, torch_export"):
        write_model(VarNet(1, 2, 2, 1), tmp_path / "model", "tflite")
    with pytest.raises(ValueError, match="unknown kind of masks 'rows'"):
        write_model(VarNet(1, 2, 2, 1), tmp_path / "model", "onnx", mask="rows")
    with pytest.raises(ValueError, match="torch_export needs a shape"):
        write_model(VarNet(1, 2, 2, 1), tmp_path / "model", "torch_export")
    network = VarNet(1, 2, 2, 1)
    monkeypatch.setattr(network.cascades[0].refinement, "forward", lambda image: torch.linalg.pinv(image))
    with pytest.raises(ValueError, match="onnx is not offered for VarNet: complex numbers go through linalg_pinv"):
        write_model(network, tmp_path / "model", "onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_other_networks_for_kspace(tmp_path):
    torch.manual_seed(0)
    network = KspaceNetwork()
    write_model(network, tmp_path / "model.onnx", "onnx")
    assert max(check_model(network, tmp_path / "model.onnx", "onnx").values()) < 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("network", ["universal"], indirect=True)
def test_files_run_where_this_package_is_not(network, tmp_path):
    example = model_files._example(network, (2, 3, 33, 37), "columns")
    with torch.no_grad():
        expected = network.eval()(*example)
    torch.save((*example, expected), tmp_path / "example.pt")
    write_model(network, tmp_path / "model.ts", "torchscript")
    write_model(network, tmp_path / "model.pt2", "torch_export", shape=(2, 3, 33, 37))
    write_model(network, tmp_path / "model.onnx", "onnx")
    program = """
import sys
sys.modules["recon_monai"] = sys.modules["monai"] = None  # importing them fails
import onnxruntime, torch
kspace, mask, expected = torch.load("example.pt")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
for found in (
    torch.jit.load("model.ts")(kspace, mask),
    torch.export.load("model.pt2").module()(kspace, mask),
    torch.from_numpy(session.run(None, {"kspace": kspace.numpy(), "mask": mask.numpy()})[0]),
):
    assert float((found - expected).norm() / expected.norm()) < 1e-4
print("the same")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, env={"PATH": ""}
    )
    assert done.stdout == "the same\n"
    assert Path(tmp_path / "model.onnx").stat().st_size > 1000
