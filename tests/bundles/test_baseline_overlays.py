"""The overlays with the classical baselines: alone, together, in any order, and with newly tuned settings."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from recon_monai.evaluation import CGSensed, EvaluationTable, L1Waveletd

CONFIGS = Path(__file__).parents[2] / "bundles" / "universal_varnet" / "configs"
TRANSFORMS = {"cg_sense": CGSensed, "l1_wavelet": L1Waveletd}


@pytest.mark.parametrize("names", [order for count in range(3) for order in permutations(TRANSFORMS, count)])
def test_each_overlay_adds_one_method_before_the_network(names, tmp_path):
    parser = ConfigParser(ConfigParser.load_config_files([CONFIGS / f"{name}.json" for name in ("evaluate", *names)]))
    parser["output_dir"] = str(tmp_path)
    table = parser.get_parsed_content("table")
    assert isinstance(table, EvaluationTable)
    assert list(table.methods) == ["zero_filled", *names, "reconstruction"]
    added = parser.get_parsed_content("postprocessing").transforms[-len(names) :] if names else ()
    assert [type(transform) for transform in added] == [TRANSFORMS[name] for name in names]
    assert [transform.output_key for transform in added] == [table.methods[name] for name in names]
    assert all(transform.solvers.keys() == {4, 8} for transform in added)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_settings_are_those_tuned_on_validation_and_may_be_replaced(name, tmp_path):
    shipped = json.loads((CONFIGS / f"{name}.json").read_text())[name]
    found = json.loads((CONFIGS.parents[2] / "docs" / "results" / f"{name}_tuning.json").read_text())[name]
    assert shipped == found
    tuned = tmp_path / "tuned.json"
    tuned.write_text(json.dumps({name: {"2": {"weight": 0.125, "iterations": 3}}, f"{name}_tuning": {}}))
    files = [CONFIGS / "evaluate.json", CONFIGS / f"{name}.json", tuned]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    solvers = parser.get_parsed_content("postprocessing").transforms[-1].solvers
    assert {key: (solver.weight, solver.iterations) for key, solver in solvers.items()} == {2: (0.125, 3)}
