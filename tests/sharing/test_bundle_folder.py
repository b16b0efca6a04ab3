"""A bundle as a folder and a zip."""

from __future__ import annotations

import json
import zipfile

import pytest

import recon_monai
from recon_monai.sharing import FILE_LIMIT, export_bundle, metadata_faults


@pytest.fixture
def output(tmp_path):
    return tmp_path / "exported"


def test_the_pinned_form(bundle, output, wheel):
    (bundle / "eval").mkdir()
    (bundle / "eval" / "log.txt").write_text("/home/ann")
    made = export_bundle(bundle, output, wheel=wheel)
    files = {file.relative_to(made.folder).as_posix() for file in made.folder.rglob("*") if file.is_file()}
    assert {"LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf", "models/model.pt"} <= files
    assert not [name for name in files if name.endswith(".py") or name.startswith("eval")]
    for file in (bundle / "configs").glob("*"):
        if file.name != "metadata.json":
            assert (made.folder / "configs" / file.name).read_bytes() == file.read_bytes()
    metadata = json.loads((made.folder / "configs" / "metadata.json").read_text())
    assert metadata_faults(metadata) == []
    packages = metadata["required_packages_version"]
    assert packages["recon-monai"] == recon_monai.__version__
    assert {"fire", "h5py", "scipy", "nilearn", "pytorch-ignite"} <= packages.keys(), "also those of the built-in set"
    assert "sigpy" not in packages, "only overlays need it"
    assert made.wheel == output / wheel.name and made.wheel.is_file()
    sheet = (made.folder / "docs" / "README.md").read_text()
    assert "pip install --find-links . fire==" in sheet and wheel.name in sheet
    assert sorted(file.name for file in output.iterdir()) == [wheel.name, "weighted_dircn", made.archive.name]


def test_the_zip_is_the_folder_and_equal_bundles_make_equal_ones(bundle, output, wheel, tmp_path):
    made = export_bundle(bundle, output, wheel=wheel)
    assert made.archive.name == "weighted_dircn_v0.2.0.zip"
    with zipfile.ZipFile(made.archive) as packed:
        names = packed.namelist()
        content = packed.read("weighted_dircn/configs/train.json")
    assert names == sorted(names) and all(name.startswith("weighted_dircn/") for name in names)
    assert content == (bundle / "configs" / "train.json").read_bytes()
    again = export_bundle(bundle, tmp_path / "again", wheel=wheel)
    assert again.archive.read_bytes() == made.archive.read_bytes()


def test_a_version_is_raised_everywhere(bundle, output, wheel):
    export_bundle(bundle, output, version="0.3.0", changes="More", wheel=wheel)
    for place in (bundle, output / "weighted_dircn"):
        text = (place / "configs" / "metadata.json").read_text()
        assert json.loads(text)["version"] == "0.3.0"
        assert next(iter(json.loads(text)["changelog"].items())) == ("0.3.0", "More")
    assert (output / "weighted_dircn_v0.3.0.zip").is_file()
    own = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert "fire" not in own["required_packages_version"], "of the bundle's own metadata nothing else changes"


def test_a_change_needs_a_version(bundle, output, wheel):
    export_bundle(bundle, output, wheel=wheel)
    export_bundle(bundle, output, wheel=wheel)  # the same again
    (bundle / "models" / "model.pt").write_bytes(b"other weights")
    with pytest.raises(FileExistsError, match="another state of this version; raise it by --version and --changes"):
        export_bundle(bundle, output, wheel=wheel)
    assert (output / "weighted_dircn" / "models" / "model.pt").read_bytes() == b"weights"
    export_bundle(bundle, output, wheel=wheel, overwrite=True)
    assert (output / "weighted_dircn" / "models" / "model.pt").read_bytes() == b"other weights"


def test_another_build_of_the_wheel(bundle, output, wheel):
    export_bundle(bundle, output, wheel=wheel)
    (output / wheel.name).write_bytes(b"an older build")
    with pytest.raises(FileExistsError, match="is another build of this version"):
        export_bundle(bundle, output, wheel=wheel)
    assert (output / wheel.name).read_bytes() == b"an older build"
    export_bundle(bundle, output, wheel=wheel, overwrite=True)
    assert (output / wheel.name).read_bytes() == b"wheel"


def test_what_no_export_wrote_is_not_replaced(bundle, output, wheel):
    run = bundle / "eval" / "run" / "model.pt"
    run.parent.mkdir(parents=True)
    run.write_bytes(b"hours of training")
    for place in (bundle.parent, bundle.parent / ".." / bundle.parent.name):
        for overwrite in (False, True):
            with pytest.raises(ValueError, match="is where the bundle itself lies, which the export would"):
                export_bundle(bundle, place, wheel=wheel, overwrite=overwrite)
    assert run.read_bytes() == b"hours of training"
    (output / "weighted_dircn").mkdir(parents=True)
    (output / "weighted_dircn" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"no weighted_dircn_v\*\.zip beside it says that it was exported"):
        export_bundle(bundle, output, wheel=wheel)
    assert (output / "weighted_dircn" / "notes.txt").read_text() == "mine"
    made = export_bundle(bundle, output, wheel=wheel, overwrite=True)
    assert not (made.folder / "notes.txt").exists()
    (made.folder / "eval" / "run").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="eval holds runs, which a new export would delete"):
        export_bundle(bundle, output, version="0.9.0", changes="More", wheel=wheel)
    assert json.loads((bundle / "configs" / "metadata.json").read_text())["version"] != "0.9.0"
    export_bundle(bundle, output, wheel=wheel, overwrite=True)
    assert not (made.folder / "eval").exists()


def test_no_weights(bundle, output, wheel):
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no models/model\.pt, .* --without_weights True"):
        export_bundle(bundle, output, wheel=wheel)
    made = export_bundle(bundle, output, wheel=wheel, without_weights=True)
    assert "**This copy has no weights**" in (made.folder / "docs" / "README.md").read_text()


def test_large_weights(bundle, output, wheel):
    (bundle / "models" / "model.pt").write_bytes(b"w" * (FILE_LIMIT + 1))
    with pytest.raises(ValueError, match="at most 25 MB for one file"):
        export_bundle(bundle, output, wheel=wheel)
    assert list(output.iterdir()) == [], "nothing is left of an export that failed"
    made = export_bundle(bundle, output, wheel=wheel, large_files="https://example.org/weights/")
    assert made.large == [output / "weighted_dircn_large_files" / "model.pt"]
    assert 'url: "https://example.org/weights/model.pt"' in (made.folder / "large_files.yml").read_text()
    assert not (made.folder / "models" / "model.pt").exists()


@pytest.mark.parametrize("name", ["configs/focal.json", "docs/data_license.txt", "models/model.json"])
def test_paths_of_one_machine(name, bundle, output, wheel):
    file = bundle / name
    lines = file.read_text().splitlines() if file.exists() else ["{}"]
    place = '"_desc_": "/home/ann/runs/1",'
    file.write_text("\n".join([lines[0], place, *lines[1:]]))
    with pytest.raises(ValueError, match=rf"{name}:2: /home/ann/runs/1"):
        export_bundle(bundle, output, wheel=wheel)


@pytest.mark.parametrize(
    "name", ["LICENSE", "docs/data_license.txt", "configs/metadata.json", "configs/inference.json"]
)
def test_a_file_that_is_missing(name, bundle, output):
    (bundle / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: there is no such file, and a shared bundle needs it"):
        export_bundle(bundle, output)
    assert not output.exists()


def test_arguments_that_do_not_fit(bundle, output, wheel):
    with pytest.raises(ValueError, match="--form zip: expected pinned or vendored"):
        export_bundle(bundle, output, "zip")
    with pytest.raises(ValueError, match="--wheel goes with --form pinned"):
        export_bundle(bundle, output, "vendored", wheel=wheel)


def test_metadata_that_break_a_rule(bundle, output, wheel, metadata):
    del metadata["task"]
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=r"metadata\.json: task missing"):
        export_bundle(bundle, output, wheel=wheel)


def test_what_is_no_part_of_a_bundle_is_left_out(bundle, output, wheel, caplog):
    (bundle / "notes.txt").write_text("private")
    made = export_bundle(bundle, output, wheel=wheel)
    assert not (made.folder / "notes.txt").exists()
    assert "left out, since it is no part of a bundle: notes.txt" in caplog.text
