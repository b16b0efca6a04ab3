"""One file into another of the same content, whose arrays of slices have one uncompressed chunk per slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np

from recon_monai.data.repack.layout import is_sliced
from recon_monai.data.writers import atomic_path

__all__ = ["RepackError", "check_complete", "difference", "rewrite", "same_content"]


class RepackError(ValueError):
    """A file cannot be repacked; the message names file, found, expected and what to do."""


def rewrite(source: str | Path, destination: str | Path) -> None:
    """Write a file again so that each slice is one uncompressed chunk, and read it back.

    Groups, arrays, types, attributes and soft links stay as they are, bit for bit; this is checked before the new
    file appears under its name.

    Args:
        source: the file.
        destination: the new file; an existing one is replaced at the end.

    Raises:
        RepackError: if the file has parts in other files, or something does not come back as it was.
        OSError: if a file cannot be read or written.
    """
    with h5py.File(source, "r") as old, atomic_path(destination) as temporary:
        check_complete(old)
        with h5py.File(temporary, "w") as new:
            _copy_group(old, new)
        with h5py.File(temporary, "r") as new:
            found = difference(old, new)
        if found is not None:
            raise RepackError(f"{source}: {found} after writing, expected the same; check the disk and try again")


def check_complete(group: h5py.Group) -> None:
    """Refuse a file that has parts in other files, which would be missing where it goes.

    Args:
        group: the open file.

    Raises:
        RepackError: naming the part and where it lies.
    """
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise _incomplete(group, f"{_path(group, name)} is a link into another file ({link.filename})")
        item = None if isinstance(link, h5py.SoftLink) else group[name]
        if isinstance(item, h5py.Group):
            check_complete(item)
        elif isinstance(item, h5py.Dataset) and (item.is_virtual or item.external):
            raise _incomplete(group, f"the values of {item.name} lie in other files")


def same_content(first: str | Path, second: str | Path) -> bool:
    """Whether two files hold the same groups, arrays, attributes and links, bit for bit, however they are stored.

    Args:
        first: an HDF5 file.
        second: another one.
    """
    with h5py.File(first, "r") as one, h5py.File(second, "r") as other:
        return difference(one, other) is None


def difference(old: h5py.Group, new: h5py.Group) -> str | None:
    """The first difference of content between two groups as a phrase; None if there is none."""
    return next(_differences(old, new), None)


def _copy_group(old: h5py.Group, new: h5py.Group) -> None:
    _copy_attributes(old, new)
    for name in old:
        link = old.get(name, getlink=True)
        if isinstance(link, h5py.SoftLink):
            new[name] = h5py.SoftLink(link.path)
        elif isinstance(old[name], h5py.Group):
            _copy_group(old[name], new.create_group(name))
        elif isinstance(old[name], h5py.Dataset):
            _copy_dataset(old[name], new, name)
        else:
            old.copy(name, new)


def _copy_dataset(old: h5py.Dataset, parent: h5py.Group, name: str) -> None:
    if not is_sliced(old):
        old.file.copy(old, parent, name)
        return
    new = parent.create_dataset(
        name, old.shape, old.dtype, chunks=(1, *old.shape[1:]), maxshape=old.maxshape, fillvalue=old.fillvalue
    )
    for index in range(len(old)):
        new[index] = _read_slice(old, index)
    _copy_attributes(old, new)


def _read_slice(dataset: h5py.Dataset, index: int) -> np.ndarray:
    try:
        return dataset[index]
    except (OSError, RuntimeError) as error:
        raise RepackError(
            f"{dataset.file.filename}: slice {index} of {dataset.name} cannot be read ({error}); copy or download the "
            "file again"
        ) from error


def _copy_attributes(old: h5py.Group | h5py.Dataset, new: h5py.Group | h5py.Dataset) -> None:
    """Copy attributes with their types in the file, which reading and setting values would change."""
    for name in old.attrs:
        attribute = h5py.h5a.open(old.id, name.encode())
        space = attribute.get_space()
        copied = h5py.h5a.create(new.id, name.encode(), attribute.get_type(), space)
        if space.get_simple_extent_type() != h5py.h5s.NULL:
            copied.write(_attribute_value(attribute))


def _attribute_value(attribute: h5py.h5a.AttrID) -> np.ndarray:
    value = np.empty(attribute.shape, attribute.dtype)
    attribute.read(value)
    return value


def _differences(old: h5py.Group, new: h5py.Group) -> Iterator[str]:
    yield from _attribute_differences(old, new)
    if set(old) != set(new):
        yield f"{old.name} holds {sorted(new)} instead of {sorted(old)}"
        return
    for name in old:
        links = [group.get(name, getlink=True) for group in (old, new)]
        if isinstance(links[0], h5py.SoftLink | h5py.ExternalLink):
            if type(links[0]) is not type(links[1]) or vars(links[0]) != vars(links[1]):
                yield f"the link {_path(old, name)} differs"
            continue
        first, second = old[name], new[name]
        if type(first) is not type(second):
            yield f"{_path(old, name)} is a {type(second).__name__} instead of a {type(first).__name__}"
        elif isinstance(first, h5py.Group):
            yield from _differences(first, second)
        elif isinstance(first, h5py.Dataset):
            yield from _attribute_differences(first, second)
            yield from _dataset_differences(first, second)


def _dataset_differences(old: h5py.Dataset, new: h5py.Dataset) -> Iterator[str]:
    if old.id.get_type() != new.id.get_type() or old.shape != new.shape or old.maxshape != new.maxshape:
        yield f"{old.name} is {new.dtype} {new.shape} instead of {old.dtype} {old.shape}"
    elif is_sliced(old):
        for index in range(len(old)):
            if not _equal(_read_slice(old, index), new[index]):
                yield f"slice {index} of {old.name} differs"
    elif old.shape is not None and not _equal(old[()], new[()]):
        yield f"{old.name} differs"


def _attribute_differences(old: h5py.Group | h5py.Dataset, new: h5py.Group | h5py.Dataset) -> Iterator[str]:
    if set(old.attrs) != set(new.attrs):
        yield f"{old.name} has the attributes {sorted(new.attrs)} instead of {sorted(old.attrs)}"
        return
    for name in old.attrs:
        first, second = (h5py.h5a.open(item.id, name.encode()) for item in (old, new))
        same = first.get_type() == second.get_type() and first.shape == second.shape
        if not same or (first.shape is not None and not _equal(_attribute_value(first), _attribute_value(second))):
            yield f"the attribute {name} of {old.name} differs"


def _equal(first: object, second: object) -> bool:
    """Equality of bits, so that NaN equals itself; of values for strings of variable length."""
    one, other = np.asarray(first), np.asarray(second)
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    if one.dtype.hasobject:
        pairs: Iterable[tuple[object, object]] = zip(one.flat, other.flat, strict=True)
        return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)
    return one.tobytes() == other.tobytes()


def _path(group: h5py.Group, name: str) -> str:
    return f"{group.name.rstrip('/')}/{name}"


def _incomplete(group: h5py.Group, found: str) -> RepackError:
    return RepackError(
        f"{group.file.filename}: {found}, expected a file that is complete by itself; copy the data into it"
    )
