"""Signals: noted where something is at stake, and taken at once where nothing is."""

import os
import signal

import pytest

from vae.run import signals
from vae.run.signals import SIGNALS, Interrupted, Interruption


@pytest.fixture
def interruption(monkeypatch):
    for name in ("LOCAL_RANK", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption() as found:
        yield found
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # also where a test has failed
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_at_once(interruption, number):
    with pytest.raises(Interrupted) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.code == 128 + number
    os.kill(os.getpid(), number)  # while it ends, the launcher sends it again


@pytest.mark.parametrize("number", SIGNALS)
def test_only_noted_where_something_is_at_stake(interruption, number, monkeypatch):
    interruption.patient = True
    os.kill(os.getpid(), number)
    assert interruption.number == number
    os.kill(os.getpid(), signal.SIGINT)  # as launchers do
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.number == number
    monkeypatch.setattr(signals, "AGAIN", 0.0)
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):  # Ctrl-C once more, by a person
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(Interrupted):
        interruption.check()


def test_held_signals_arrive_later_and_handlers_are_taken_back(interruption):
    interruption.patient = True
    interruption.hold()
    signal.raise_signal(signal.SIGTERM)  # to this thread: another one may not hold it
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Lightning sets its own
    assert not interruption.number
    interruption.listen()
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.number == signal.SIGTERM


def test_a_process_for_whom_others_wait_is_patient_from_the_start(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Interruption().patient


def test_one_that_was_not_entered_takes_no_signals():
    before = signal.getsignal(signal.SIGTERM)
    Interruption().hold()
    Interruption().listen()
    assert signal.getsignal(signal.SIGTERM) is before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
