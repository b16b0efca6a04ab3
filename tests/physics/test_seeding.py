from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from recon_monai.physics import keyed_generator, keyed_seed


def test_value_is_the_documented_hash_on_every_machine() -> None:
    digest = hashlib.sha256(b"i1:0s4:a.h5").digest()
    assert keyed_seed(0, "a.h5") == int.from_bytes(digest[:8], "big") // 2
    assert keyed_seed(0, "a.h5") == 8322063712644693036


def test_every_part_and_its_place_counts() -> None:
    keys = [(0, 1, "a"), (1, 0, "a"), (0, 1, "b"), ("0", 1, "a"), (0, "1a"), ("01", "a"), ("0", "1a"), ("01a",), (-1,)]
    seeds = [keyed_seed(*key) for key in keys]
    assert len(set(seeds)) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_integers_of_numpy_are_integers() -> None:
    assert keyed_seed(np.int64(7), "a") == keyed_seed(7, "a")


def test_generator_repeats_its_draws() -> None:
    first = torch.rand(5, generator=keyed_generator(1, "a"))
    assert torch.equal(first, torch.rand(5, generator=keyed_generator(1, "a")))
    assert not torch.equal(first, torch.rand(5, generator=keyed_generator(2, "a")))
    assert keyed_generator(1, "a").initial_seed() == keyed_seed(1, "a")


def test_other_parts_are_refused() -> None:
    with pytest.raises(TypeError, match=r"1\.5.*float"):
        keyed_seed(1.5)
    with pytest.raises(ValueError, match="at least one part"):
        keyed_seed()
