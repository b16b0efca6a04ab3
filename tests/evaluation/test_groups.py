"""Groups of files and what puts several together."""

from __future__ import annotations

from recon_monai.evaluation.groups import group_words, with_pooled


def test_contrasts_and_anatomies_of_one_acceleration_are_also_put_together():
    knee, t1, t2 = ("knee", "4x", "PD"), ("brain", "4x", "T1"), ("brain", "4x", "T2")
    late = ("brain", "16x", "T1")
    found = with_pooled([knee, late, t2, t1, t1])
    assert list(found.items()) == [
        (t1, [t1]),
        (t2, [t2]),
        (("brain", "4x", "all contrasts"), [t1, t2]),
        (late, [late]),
        (knee, [knee]),
        (("all anatomies", "4x", "all contrasts"), [t1, t2, knee]),
    ]


def test_what_is_unknown_is_a_group_of_its_own():
    assert with_pooled([("", "inplane2", "")]) == {("", "inplane2", ""): [("", "inplane2", "")]}
    assert group_words(("", "inplane2", "")) == "inplane2" and group_words(("a", "4x", "b")) == "a · 4x · b"
