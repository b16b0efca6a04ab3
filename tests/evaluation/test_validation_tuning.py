"""The baselines tuned on the validation files of a data set only."""

from __future__ import annotations

import json

import pytest
import torch

from recon_monai.data import write_fastmri_h5
from recon_monai.evaluation import CLASSICAL_METHODS, CGSense, L1Wavelet, classical_method, tune_on_validation
from recon_monai.metrics import nmse
from recon_monai.physics import (
    EquispacedFractionMask,
    ifft2c,
    keyed_generator,
    normalize_maps,
    rss,
    seed_from_name,
    simulate_coil_maps,
    simulate_kspace,
)
from recon_monai.solvers import Tikhonov, TotalVariation


def slice_of(subject: int, size: int = 40) -> torch.Tensor:
    generator = keyed_generator("cg-sense", subject)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    image = (x**2 + y**2 < 0.7).float() + ((x - 0.2) ** 2 + (y + 0.3) ** 2 < 0.05)
    maps = normalize_maps(simulate_coil_maps(6, (size, size), generator))
    return simulate_kspace(image, maps, noise_std=0.02, generator=generator)


@pytest.fixture
def dataset(tmp_path):
    for subject, name in enumerate(("val.h5", "test.h5")):
        kspace = slice_of(subject)
        write_fastmri_h5(tmp_path / name, kspace=[kspace], target=[rss(ifft2c(kspace))[0]])
    content = {"train": [], "val": ["val.h5"], "test": ["test.h5"], "subjects": {"val.h5": "a", "test.h5": "b"}}
    (tmp_path / "split.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    ("method", "solver"),
    [
        ("cg_sense", lambda best: CGSense(best.weight, best.iterations, best.maps)),
        ("l1_wavelet", lambda best: L1Wavelet(best.maps, best.weight, best.iterations)),
        ("tikhonov_gradient", lambda best: Tikhonov(best.weight, best.iterations, best.maps, "gradient")),
        ("total_variation", lambda best: TotalVariation(best.weight, best.iterations, best.maps)),
    ],
)
def test_tuning_reads_validation_files_and_finds_the_best_of_its_table(dataset, method, solver):
    (dataset / "test.h5").write_bytes(b"reading this would fail")
    output = dataset / "out.json"
    tuned = tune_on_validation(str(dataset), str(output), [2], [0.3], method=method, iterations=[3, 6, 12])
    written = json.loads(output.read_text())
    assert written.keys() == {method, f"{method}_tuning"}  # no key of an evaluation, which may read the file
    best = tuned["2"].best
    assert written[method] == {"2": {"maps": best.maps, "weight": best.weight, "iterations": best.iterations}}
    details = written[f"{method}_tuning"]
    assert best.nmse == min(row["nmse"] for row in details["table"]["2"])
    assert {row["iterations"] for row in details["table"]["2"]} == {3, 6, 12}
    assert {row["weight"] for row in details["table"]["2"]} == set(CLASSICAL_METHODS[method].weights)
    assert details["slices"] == {"2": 1}

    mask = EquispacedFractionMask([0.3], [2])(40, seed=seed_from_name("val.h5"), acceleration=2).mask
    kspace = slice_of(0)
    image = solver(best)(kspace * mask, mask)
    assert best.nmse == pytest.approx(nmse(prediction=image, target=rss(ifft2c(kspace))), rel=1e-4)


def test_the_grid_can_be_given_and_the_method_must_be_known(dataset):
    output = dataset / "out.json"
    tune_on_validation(str(dataset), str(output), [2], [0.3], "random", 1, "l1_wavelet", [0.1, 0.01], [2])
    table = json.loads(output.read_text())["l1_wavelet_tuning"]["table"]["2"]
    assert [(row["maps"], row["weight"], row["iterations"]) for row in table] == [
        (maps, weight, 2) for maps in ("espirit", "calibration") for weight in (0.01, 0.1)
    ]
    with pytest.raises(ValueError, match="method is 'grappa', expected one of"):
        tune_on_validation(str(dataset), str(output), [2], [0.3], method="grappa")


@pytest.mark.parametrize("method", CLASSICAL_METHODS)
def test_every_method_is_tuned_and_made_from_what_was_written(dataset, method):
    output = dataset / "out.json"
    weights = None if method == "least_squares" else [0.02, 0.002]
    tuned = tune_on_validation(str(dataset), str(output), [2], [0.3], "random", 1, method, weights, [2, 3])["2"]
    settings = json.loads(output.read_text())[method]["2"]
    solver = classical_method(method, **settings)
    assert (solver.maps, solver.weight, solver.iterations) == tuned.best[:3]
    assert tuned.best.nmse == min(row.nmse for row in tuned.table)
    assert len(tuned.table) == (4 if weights is None else 8)
    with pytest.raises(ValueError, match="method is 'grappa', expected one of"):
        classical_method("grappa")
