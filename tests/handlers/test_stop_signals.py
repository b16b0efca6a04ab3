from __future__ import annotations

import os
import signal
import threading

import pytest

from recon_monai.handlers import Interrupted, StopSignals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    acted = []
    before = signal.signal(number, lambda *_: acted.append("acted"))
    try:
        stop = StopSignals()
        stop.install()
        os.kill(os.getpid(), number)
        assert stop.received == number
        assert acted == []
        os.kill(os.getpid(), number)
        assert acted == ["acted"]
    finally:
        signal.signal(number, before)


def test_restoring_gives_signals_back():
    before = signal.getsignal(signal.SIGTERM)
    stop = StopSignals()
    stop.install()
    assert signal.getsignal(signal.SIGTERM) != before
    stop.restore()
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=StopSignals().install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_exit_status_is_the_shells():
    assert Interrupted(signal.SIGTERM).code == 143
