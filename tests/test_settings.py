"""Settings that are gathered from several variables."""

import pytest

from homing.config import load
from homing.model.fleet import InstanceUrl

A, B = InstanceUrl("http://wa1:3001"), InstanceUrl("http://wa2:3000")


@pytest.fixture(autouse=True)
def nowhere(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # type: ignore[arg-type]


def test_an_instance_may_have_a_key_and_a_driver_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WHATSAPP_INSTANCE_1": "http://wa1:3001/",
        "WHATSAPP_INSTANCE_2": "http://wa2:3000",
        "WHATSAPP_INSTANCE_2_DRIVER": "waha",
        "whatsapp_instance_2_api_key": "its-own",
        "WHATSAPP_INSTANCE_9_DRIVER": "evolution",
    }.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.instances == (A, B)
    assert settings.instance_drivers == {B: "waha"}
    assert settings.instance_api_keys == {B: "its-own"}
    assert "its-own" not in repr(settings)
