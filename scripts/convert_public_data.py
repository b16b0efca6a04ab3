"""Make the arrays of docs/data.md from the published originals, and check them by their SHA-256.

Usage, CLONE being a clone of the set's repository at the commit that docs/data.md names, OUT the folder of data sets:
    python scripts/convert_public_data.py sunnybrook CLONE OUT      # PNG images to one .npz (needs Pillow)
    python scripts/convert_public_data.py knee CLONE OUT            # DICOM to NIfTI, first echo (needs pydicom)
    python scripts/convert_public_data.py brain7 CLONE OUT          # data/brain_slice.npz to coil_images_7ch.npy
    python scripts/convert_public_data.py brain8 CLONE OUT          # data/cartesian_ksp.npy, as found
    python scripts/convert_public_data.py sens32 CLONE OUT          # sens.mat to sens_32ch.npy
    python scripts/convert_public_data.py mouse CLONE OUT           # Bruker fid to ksp_1ch_15slices.npy
    python scripts/convert_public_data.py twix FILE.dat NAME OUT    # Siemens raw data to OUT/NAME (needs pymapvbvd)
    python scripts/convert_public_data.py check OUT                 # every file of the table that OUT holds

NAME is a file of the table in docs/data.md, for example brain16_gre_pulseq/ksp_16ch.npy. Where the originals leave an
order open (of axes, slices or lines) the possible ones are tried. An array is written only if its checksum is right.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import scipy.io

# shape, type and SHA-256 of np.ascontiguousarray(array).tobytes(); the array of the .npz file is its "image"
EXPECTED: dict[str, tuple[tuple[int, ...], str, str]] = {
    "brain16_gre_pulseq/ksp_16ch.npy": (
        (16, 128, 128),
        "complex64",
        "15756ae6db2893745dc929cd742734d25fc7cbe05e167d34e8f9befaef51ae0d",
    ),
    "brain16_gre_pulseq/ksp_2ch_bodycoil.npy": (
        (2, 128, 128),
        "complex64",
        "196faa9c766980e1e4efa7ba90e9c49146fcaaf34d9f4e86d8754d3acf65591f",
    ),
    "phantom16_gre_pulseq/ksp_16ch.npy": (
        (16, 128, 128),
        "complex64",
        "dbb1ffb35629a3b0b769901f43b1469782ae067c9060440a066b979373a1c830",
    ),
    "phantom16_gre_pulseq/ksp_2ch_bodycoil.npy": (
        (2, 128, 128),
        "complex64",
        "fd8860999e9e581fdc65dabc8a9cf4336e6478127660cb5e019b62bd1f91987e",
    ),
    "phantoms_gre_pulseq_cc0/ksp_grid_1ch.npy": (
        (1, 256, 256),
        "complex64",
        "b05d75c5f35bb553cc59c1a65443f4c8b0f791a376cd42d67a45fbd0573ab912",
    ),
    "phantoms_gre_pulseq_cc0/ksp_resolution_1ch.npy": (
        (1, 256, 256),
        "complex64",
        "66aaa944d68cf797e04991c167a6ec1470d36cd5942673e6b6d9fe49a2a004d0",
    ),
    "phantoms_gre_pulseq_cc0/ksp_resolution_3echo.npy": (
        (3, 256, 256),
        "complex64",
        "c45858a8fb4c6e4b9f60b38b413f8c1c59e1dc7ea048acbb017e2a8a9a0b2bdc",
    ),
    "phantom4_gre_ankara/ksp_4ch.npy": (
        (4, 256, 256),
        "complex64",
        "74b429866ad7cca5a166e99a44e4378d74277398174019c2a27e7268c8dad492",
    ),
    "phantom2_gre_twixtools/ksp_2ch.npy": (
        (2, 160, 320),
        "complex64",
        "adca0d21d5f24f8a8bd3322bb4f89b97e2b98dd8f942d8a858286bd503ed047c",
    ),
    "mouse_t2rare_bruker/ksp_1ch_15slices.npy": (
        (15, 96, 96),
        "complex64",
        "989e9dfe1d9927eef0b413cf9835fe02255bbaf570357d0f6e3d69f62bd68209",
    ),
    "brain7_mprage_midas/coil_images_7ch.npy": (
        (7, 256, 216),
        "complex64",
        "c0e944256e866b1faf8653f612cc48a9833e4e5223306c047f54c691f5bf34ee",
    ),
    "brain8_undersampled_sigpy/cartesian_ksp.npy": (
        (8, 230, 180),
        "complex64",
        "b2f7fe8913f606649351014393996f955fd3efc3c8d228a4440e8574f2e0df62",
    ),
    "sens32_head_chiew/sens_32ch.npy": (
        (32, 64, 64),
        "complex64",
        "782479d2489d284f8f74e1917bbd462ca838cf0b2a5f267699723d420703b465",
    ),
    "heart_sunnybrook/sunnybrook_36_subjects.npz": (
        (643, 256, 256),
        "uint8",
        "a175c3a380d0cdbe3d7f483c29c933b50fa06cd0e357214fad2570cec58a6c39",
    ),
    "knee_mese/knee_echo1_te6.3ms.nii.gz": (
        (24, 256, 256),
        "uint16",
        "b062e46c3787a080612d41abc8d263e50875f81ba2deb4fb8979733f75791cc9",
    ),
}

# the 36 of 45 subjects that were kept, with all their images
SUBJECTS = {
    f"SC-{group}-{number}"
    for group, numbers in {
        "HF-I": "04 06 07 08 10 11 40",
        "HF-NI": "04 07 11 12 13 14 31 33 34 36",
        "HYP": "03 06 07 08 09 10 12 37 38 40",
        "N": "02 03 05 06 07 09 10 11 40",
    }.items()
    for number in numbers.split()
}


def sha256(array: np.ndarray) -> str:
    """SHA-256 of the array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def is_expected(name: str, array: np.ndarray) -> bool:
    """Whether an array has the shape, type and checksum of the table."""
    return (array.shape, str(array.dtype), sha256(array)) == EXPECTED[name]


def first_match(name: str, candidates: Iterable[np.ndarray]) -> np.ndarray:
    """The first candidate that the table confirms."""
    seen = 0
    for array in candidates:
        seen += 1
        if is_expected(name, array):
            return np.ascontiguousarray(array)
    raise ValueError(
        f"{name}: none of {seen} possible arrays has the shape {EXPECTED[name][0]}, type and SHA-256 of the table; "
        "check that the original is at the commit that docs/data.md names"
    )


def orders(name: str, array: np.ndarray) -> Iterator[np.ndarray]:
    """The array in every order of its axes that has the expected shape, in the expected type."""
    shape, dtype, _ = EXPECTED[name]
    array = np.squeeze(np.asarray(array))
    for axes in itertools.permutations(range(array.ndim)):
        turned = np.transpose(array, axes)
        if turned.shape == tuple(n for n in shape if n > 1):
            yield turned.reshape(shape).astype(dtype)


def save(name: str, out: str, write: Callable[[Path], Any]) -> None:
    """Write OUT/NAME."""
    path = Path(out) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    print(f"{path}: written, the checksum is right")


def sunnybrook(clone: str, out: str) -> None:
    """One channel of the PNG images (their three are equal) of the kept subjects, in the order of their paths."""
    from PIL import Image

    name = "heart_sunnybrook/sunnybrook_36_subjects.npz"
    # SC-HF-I-10-IM-0001-0008.dcm.png is an image of the subject SC-HF-I-10
    found = [(path, path.name.split("-IM-")[0]) for path in sorted(Path(clone).glob("Data/*/Images/*/*.png"))]
    kept = [(path, subject) for path, subject in found if subject in SUBJECTS]
    pixels = [np.asarray(Image.open(path)) for path, _ in kept]
    images = np.stack([image if image.ndim == 2 else image[..., 0] for image in pixels])
    image = first_match(name, [images])
    names, subjects = np.array([path.name for path, _ in kept]), np.array([subject for _, subject in kept])
    save(name, out, lambda path: np.savez_compressed(path, image=image, name=names, subject=subjects))


def knee(clone: str, out: str) -> None:
    """The first echo, slices by their position, values as stored; the affine holds the spacing only."""
    import pydicom

    name = "knee_mese/knee_echo1_te6.3ms.nii.gz"
    files = [pydicom.dcmread(p) for p in sorted(Path(clone).glob("data/MESE_T2_dicom_data_anon/*.dcm"))]
    first = min(float(file.EchoTime) for file in files)
    echo = [file for file in files if float(file.EchoTime) == first]
    by_position = sorted(echo, key=lambda file: float(file.SliceLocation))
    by_number = sorted(echo, key=lambda file: int(file.InstanceNumber))
    stacks = [s for files in (by_position, by_number) for s in (files, files[::-1])]
    array = first_match(name, (np.stack([f.pixel_array for f in s]).astype(np.uint16) for s in stacks))
    image = nibabel.Nifti1Image(array, np.diag([4.0, 0.625, 0.625, 1.0]))
    save(name, out, lambda path: nibabel.save(image, path))


def brain7(clone: str, out: str) -> None:
    """The complex array of brain_slice.npz, coils first."""
    name = "brain7_mprage_midas/coil_images_7ch.npy"
    with np.load(Path(clone) / "data" / "brain_slice.npz") as content:
        arrays = [content[key] for key in content.files]
    array = first_match(name, (turned for array in arrays for turned in orders(name, array)))
    save(name, out, lambda path: np.save(path, array))


def brain8(clone: str, out: str) -> None:
    """cartesian_ksp.npy as it is."""
    name = "brain8_undersampled_sigpy/cartesian_ksp.npy"
    array = first_match(name, [np.load(Path(clone) / "data" / "cartesian_ksp.npy")])
    save(name, out, lambda path: np.save(path, array))


def sens32(clone: str, out: str) -> None:
    """The array of sens.mat, coils first."""
    name = "sens32_head_chiew/sens_32ch.npy"
    content = scipy.io.loadmat(Path(clone) / "sens.mat")
    arrays = [value for value in content.values() if isinstance(value, np.ndarray)]
    array = first_match(name, (turned for array in arrays for turned in orders(name, array)))
    save(name, out, lambda path: np.save(path, array))


def mouse(clone: str, out: str) -> None:
    """The Bruker fid, sorted by the lists of the method file: slices by position, lines from -48 to 47."""
    name = "mouse_t2rare_bruker/ksp_1ch_15slices.npy"
    folder = Path(clone) / "data" / "brukerfileCart"
    method = (folder / "method").read_text(encoding="latin-1")
    steps, order = (_bruker_list(method, key) for key in ("PVM_EncSteps1", "PVM_ObjOrderList"))
    _, lines, samples = EXPECTED[name][0]
    echoes = int(re.search(r"##\$PVM_RareFactor=(\d+)", method)[1])  # type: ignore[index]
    # a readout fills whole blocks of 1024 bytes; shots hold the echoes of one slice after the other
    words = np.fromfile(folder / "fid", "<i4").reshape(lines // echoes, len(order), echoes, -1)
    values = words[..., 0 : 2 * samples : 2] + 1j * words[..., 1 : 2 * samples : 2]
    acquired = values.transpose(1, 0, 2, 3).reshape(len(order), lines, samples)
    kspace = np.zeros(acquired.shape, np.complex64)
    kspace[np.ix_(order, np.array(steps) + lines // 2)] = acquired
    array = first_match(name, [kspace])
    save(name, out, lambda path: np.save(path, array))


def _bruker_list(text: str, key: str) -> list[int]:
    found = re.search(rf"##\${key}=\([^)]*\)\s*([-\d\s]+)", text)
    if found is None:
        raise ValueError(f"method: holds no {key}; is this the file of the named commit?")
    return [int(word) for word in found[1].split()]


def twix(file: str, name: str, out: str) -> None:
    """The imaging scan, readout oversampling kept: lines sorted by their counters, else in the order acquired."""
    import mapvbvd

    if name not in EXPECTED:
        raise ValueError(f"{name}: unknown, expected one of {', '.join(EXPECTED)}")
    measured = mapvbvd.mapVBVD(file)
    scan = (measured[-1] if isinstance(measured, list) else measured).image
    scan.flagRemoveOS = False
    array = first_match(name, _twix_orders(name, scan))
    save(name, out, lambda path: np.save(path, array))


def _twix_orders(name: str, scan: Any) -> Iterator[np.ndarray]:
    yield from orders(name, scan[""])
    acquired = scan.unsorted()  # sample, coil, acquisition
    yield from orders(name, acquired)
    first, lines, _ = EXPECTED[name][0]
    if first > 1 and acquired.shape[1] == 1 and acquired.shape[2] == first * lines:
        # echoes of a line follow each other, or the lines of an echo
        yield from orders(name, acquired.reshape(-1, lines, first))
        yield from orders(name, acquired.reshape(-1, first, lines))


def check(out: str) -> None:
    """Compare every file of the table that OUT holds."""
    wrong, found = [], 0
    for name in EXPECTED:
        path = Path(out) / name
        if not path.exists():
            print(f"{name}: absent")
            continue
        found += 1
        right = is_expected(name, _read(path))
        print(f"{name}: {'right' if right else 'WRONG'}")
        wrong += [] if right else [name]
    if wrong or not found:
        raise ValueError(
            f"{out}: {len(wrong)} of {found} files differ from docs/data.md ({', '.join(wrong) or 'none'})"
        )


def _read(path: Path) -> np.ndarray:
    if path.name.endswith(".nii.gz"):
        return np.asanyarray(nibabel.load(path).dataobj)
    if path.suffix == ".npz":
        with np.load(path) as content:
            return content["image"]
    return np.load(path)


COMMANDS: dict[str, Callable[..., None]] = {
    command.__name__: command for command in (sunnybrook, knee, brain7, brain8, sens32, mouse, twix, check)
}


def main(words: list[str]) -> int:
    """Run one command.

    Args:
        words: its name and arguments.

    Returns:
        The exit status.
    """
    numbers = {"twix": 3, "check": 1}
    if not words or words[0] not in COMMANDS or len(words) - 1 != numbers.get(words[0], 2):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        COMMANDS[words[0]](*words[1:])
    except (OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
