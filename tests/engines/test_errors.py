"""Which errors end a command with one line, and which keep their traceback."""

from __future__ import annotations

import logging
import sys

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from recon_monai.data import read_split
from recon_monai.engines.errors import TRACEBACK_VARIABLE, find_user_error, show_plain_errors


def caught(action) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def missing_folder():
    read_split("/nowhere", "train")


def wrapped():
    try:
        missing_folder()
    except ValueError as error:
        raise RuntimeError("Failed to instantiate ConfigComponent") from error


class Broken(Dataset):
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        wrapped()
        return index


def test_an_error_about_data_is_found_below_others():
    expected = "/nowhere does not exist; give a folder of fastMRI .h5 files as dataset_dir"
    assert find_user_error(caught(missing_folder)) == expected
    assert find_user_error(caught(wrapped)) == expected


def test_an_error_of_a_worker_process_is_found_in_its_text():
    error = caught(lambda: list(DataLoader(Broken(), num_workers=1)))
    assert "Original Traceback" in str(error)
    assert find_user_error(error) == "/nowhere does not exist; give a folder of fastMRI .h5 files as dataset_dir"


@pytest.mark.parametrize("action", [lambda: torch.zeros(2) + torch.zeros(3), lambda: {}["key"], lambda: int("x")])
def test_other_errors_are_none_of_ours(action):
    assert find_user_error(caught(action)) is None


def test_the_hook_prints_one_line_or_leaves_it_to_python(monkeypatch, caplog):
    left = []
    monkeypatch.setattr(sys, "excepthook", lambda *arguments: left.append(arguments))
    monkeypatch.setattr("threading.excepthook", lambda *arguments: None)
    show_plain_errors()
    with caplog.at_level(logging.ERROR):
        error = caught(wrapped)
        sys.excepthook(type(error), error, error.__traceback__)
    assert not left
    assert caplog.messages[0].startswith("error: /nowhere does not exist")
    assert TRACEBACK_VARIABLE in caplog.messages[1]
    error = caught(lambda: int("x"))
    sys.excepthook(type(error), error, error.__traceback__)
    assert [arguments[1] for arguments in left] == [error]


def test_the_variable_keeps_tracebacks(monkeypatch):
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    before = sys.excepthook
    show_plain_errors()
    assert sys.excepthook is before
