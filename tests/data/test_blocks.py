"""Blocks side by side: the same rows, whichever way they lie."""

import numpy as np
import torch

from pellucid.data.blocks import SideBySide, beneath, beside, taken

BLOCKS = {"a": torch.arange(8.0).reshape(4, 2), "b": torch.arange(4.0)[:, None], "c": torch.ones(4, 3)}


def test_beside_keeps_the_order_of_the_names_and_the_numbers() -> None:
    joined = beside(BLOCKS, ["b", "a"])
    assert isinstance(joined, SideBySide)
    assert list(joined) == ["b", "a"]
    assert torch.equal(joined["a"], BLOCKS["a"])
    assert beside(joined, ["b", "a"]) is joined
    assert list(beside(joined, ["a"])) == ["a"]


def test_what_is_not_of_one_type_stays_apart() -> None:
    mixed = {**BLOCKS, "words": torch.arange(4)[:, None]}
    found = beside(mixed, list(mixed))
    assert not isinstance(found, SideBySide)
    assert found["words"].dtype == torch.int64


def test_taken_rows_are_the_same_either_way() -> None:
    joined = beside(BLOCKS, list(BLOCKS))
    for index in (torch.tensor([3, 0, 0]), np.array([1, 2]), slice(1, 3)):
        apart, together = taken(BLOCKS, index), taken(joined, index)
        assert isinstance(together, SideBySide)
        for name, block in apart.items():
            assert torch.equal(together[name], block)


def test_rows_beneath_one_another_are_the_same_either_way() -> None:
    joined = beside(BLOCKS, list(BLOCKS))
    apart, together = beneath(BLOCKS, BLOCKS), beneath(joined, joined)
    assert isinstance(together, SideBySide)
    for name, block in apart.items():
        assert torch.equal(block, torch.cat([BLOCKS[name]] * 2))
        assert torch.equal(together[name], block)


def test_halves_of_one_array_are_joined_without_a_copy() -> None:
    whole = beside(BLOCKS, list(BLOCKS))
    assert isinstance(whole, SideBySide)
    first, second = taken(whole, slice(0, 3)), taken(whole, slice(3, None))
    again = beneath(first, second)
    assert isinstance(again, SideBySide)
    assert again.array is whole.array
    swapped = beneath(second, first)
    assert isinstance(swapped, SideBySide)
    np.testing.assert_array_equal(swapped.array, np.concatenate([whole.array[3:], whole.array[:3]]))
