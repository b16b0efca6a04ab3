"""Coil maps without weights, called as a sensitivity network."""

from __future__ import annotations

import pytest
import torch

from recon_monai.solvers import MapEstimator, calibration_maps, espirit_maps


@pytest.mark.parametrize(("name", "function"), [("espirit", espirit_maps), ("calibration", calibration_maps)])
def test_each_slice_gets_its_own_maps(make_problem, name: str, function) -> None:
    problems = [make_problem(seed=seed, dtype=torch.complex64) for seed in range(2)]
    kspace = torch.stack([problem.kspace for problem in problems])
    mask = problems[0].mask[None]
    estimator = MapEstimator(name)
    found = estimator(kspace.requires_grad_(), mask)
    assert not found.requires_grad
    for one, problem in zip(found, problems, strict=True):
        torch.testing.assert_close(one, function(problem.kspace, problem.mask))
    assert not torch.equal(found[0], found[1])
    assert not list(estimator.parameters()) and repr(estimator) == f"MapEstimator(maps={name!r})"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown maps"):
        MapEstimator("magic")
