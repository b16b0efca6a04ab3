"""The commands that tune the classical baselines."""

from __future__ import annotations

import pytest

from recon_monai.cli import main

METHODS = pytest.mark.parametrize(
    ("command", "method"),
    [
        (["tune_cg_sense"], "cg_sense"),
        (["tune_l1_wavelet"], "l1_wavelet"),
        (["tune", "total_variation"], "total_variation"),
    ],
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--accelerations", "4", "--center_fractions", "0.08"], ([4], [0.08], None, None)),
        (["--accelerations", "4,8", "--center_fractions", "[0.08,0.04]"], ([4, 8], [0.08, 0.04], None, None)),
        (["--weights", "0.1,0.01", "--iterations", "20"], ([4, 8], [0.08, 0.04], [0.1, 0.01], [20])),
        ([], ([4, 8], [0.08, 0.04], None, None)),
    ],
)
@METHODS
def test_tuning_takes_one_or_several_numbers(monkeypatch, command, method, words, expected):
    import recon_monai.evaluation

    calls = []
    monkeypatch.setattr(recon_monai.evaluation, "tune_on_validation", lambda *given: calls.append(given))
    main([*command, "data", "--output", "best.json", *words])
    accelerations, centers, weights, iterations = expected
    given = ("data", "best.json", accelerations, centers, "equispaced_fraction", None, method, weights, iterations)
    assert calls == [given]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--accelerations", "x"], "accelerations is 'x', expected numbers separated by commas, for example 4,8"),
        (["--accelerations", "4"], "accelerations are 4 and center_fractions 0.08,0.04, expected one center fraction"),
        (["--accelerations", "4.5,8"], "accelerations are 4.5,8, expected whole numbers"),
        (["--weights", "x"], "weights is 'x', expected numbers separated by commas, for example 0.001,0.01"),
        (["--iterations", "10,2.5"], "iterations are 10,2.5, expected whole numbers of at least 1, for example 20,40"),
        (["--max_slices", "few"], "max_slices is 'few', expected a whole number"),
    ],
)
@METHODS
def test_bad_tuning_settings_end_with_one_sentence(command, method, words, message, caplog):
    with pytest.raises(SystemExit) as ended:
        main([*command, "data", "--output", "best.json", *words])
    assert ended.value.code == 1
    assert message in caplog.records[-1].getMessage()
