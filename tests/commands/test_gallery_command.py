"""`recon-monai gallery`."""

from __future__ import annotations

from pathlib import Path

import pytest

import recon_monai.data
import recon_monai.evaluation.gallery as package
from recon_monai.cli import main


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    made: list[tuple] = []
    monkeypatch.setattr(recon_monai.data, "built_in_dataset", lambda: "slices", raising=False)
    monkeypatch.setattr(recon_monai.data, "ensure_demo_volumes", lambda: "volumes", raising=False)
    monkeypatch.setattr(package, "make_gallery", lambda *given, **named: made.append((given, named)))
    return made


def test_all_methods_by_default(calls: list[tuple]) -> None:
    main(["gallery", "out"])
    ((given, named),) = calls
    assert given == ("out", "slices", "volumes")
    assert named["methods"] == [*dict.fromkeys([*package.ALL_METHODS, *package.volume_names()])]
    assert named["settings"] == package.GallerySettings()
    assert named["dataset_dir"] is None


def test_options(calls: list[tuple]) -> None:
    words = "--dataset_dir raw --time_limit 5 --methods cg_sense,zero_filled --seed 3 --anatomy brain --tuning own"
    main(["gallery", "out", *words.split()])
    ((given, named),) = calls
    assert given == ("out", "slices", None)  # nothing asks for volumes, so none are made
    assert named["methods"] == ["zero_filled", "cg_sense"]
    assert named["settings"] == package.GallerySettings(time_limit=5.0, seed=3)
    assert (named["dataset_dir"], named["anatomy"], named["tuning"]) == ("raw", "brain", "own")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--time_limit", "soon"], "time_limit is 'soon', expected a positive number of seconds"),
        (["--time_limit", "0"], "time_limit is 0.0, expected a positive number of seconds"),
        (["--seed", "-1"], "seed is -1"),
        (["--methods", "magic"], 'methods hold ["magic"], expected some of zero_filled'),
    ],
)
def test_bad_settings_end_with_one_sentence(
    words: list[str], message: str, calls: list[tuple], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["gallery", str(Path("out")), *words])
    assert ended.value.code == 1
    assert message in caplog.records[-1].getMessage()
    assert not calls
