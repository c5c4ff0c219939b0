"""What counts as flat: trends after the warm-up, which peaks do not move and leaks do."""

import subprocess
import sys
from random import Random

import pytest

from homing.lab.chaos.soak import DESCRIPTORS_GROW_MAX, Growth, ProcessSample, growth, sample

MIB = 1 << 20


def samples(minutes: float, *, leaks_mib_per_minute: float = 0.0, warm_mib: float = 0.0, descriptors: float = 0.0):
    """One each five seconds, noisy, with a peak now and then, of a process that takes its time to fill its caches."""
    chance = Random(1)
    found = []
    for number in range(int(minutes * 12)):
        at_s = number * 5.0
        warm = min(1.0, at_s / (minutes * 20)) * warm_mib
        peak = 30 if number % 20 == 0 else 0
        memory = 80 + warm + leaks_mib_per_minute * at_s / 60 + chance.random() + peak
        opened = 40 + descriptors * at_s / 60 + chance.choice((0, 0, 1, 3)) + peak
        found.append(ProcessSample(at_s, int(memory * MIB), int(opened)))
    return found


def judged(minutes: float = 30.0, **how: float) -> Growth:
    found = growth("Gateway (1)", samples(minutes, **how), minutes * 20)
    assert found is not None
    return found


def test_caches_that_fill_in_the_warm_up_and_peaks_are_flat() -> None:
    flat = judged(warm_mib=60)
    assert flat.wrong == []
    assert abs(flat.memory_grew_bytes) < MIB
    assert abs(flat.descriptors_grew) <= 1


def test_memory_that_grows_slowly_is_told_in_a_sentence() -> None:
    leaking = judged(leaks_mib_per_minute=0.5)
    assert leaking.memory_grew_bytes == pytest.approx(10 * MIB, rel=0.05)
    assert leaking.wrong == ["Gateway (1) grew by 10.1 MiB within 20 minutes, and not 6.0"]


def test_descriptors_that_are_never_closed_are_told() -> None:
    leaking = judged(descriptors=0.5)
    assert leaking.descriptors_grew > DESCRIPTORS_GROW_MAX
    assert "more descriptors within 20 minutes" in leaking.wrong[0]


def test_what_lived_too_short_is_not_judged() -> None:
    assert growth("Gateway (1)", samples(1.0), 30.0) is None


def test_a_live_process_is_sampled() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        if sys.platform != "linux":
            pytest.skip("NOT RUN: only Linux tells of another process's memory")
        found = sample(process.pid)
        assert found.memory_bytes > MIB
        assert found.descriptors >= 3
        process.kill()
