"""Whom an instance tells what happens: options, the Laravel application's names, and what is no setting."""

from pathlib import Path

import pytest

from homing.instance.notify.settings import GatewaySettings, InstanceMisconfigured, gateway_settings

BOTH = {"LARAVEL_URL": "http://laravel", "HMAC_SECRET": "s"}


def test_without_a_gateway_nobody_is_told():
    assert gateway_settings({"HMAC_SECRET": "s"}) is None
    assert gateway_settings({"HOMING_URL": "", "LARAVEL_URL": ""}) is None


@pytest.mark.parametrize(
    ("environment", "url", "secret"),
    [
        (BOTH, "http://laravel", "s"),
        ({**BOTH, "HOMING_URL": "https://homing:8000"}, "https://homing:8000", "s"),
        ({**BOTH, "WHATSAPP_HMAC_SECRET": "t"}, "http://laravel", "s"),
        ({"HOMING_URL": "http://homing", "WHATSAPP_HMAC_SECRET": "t"}, "http://homing", "t"),
    ],
)
def test_the_environment_names_gateway_and_secret(environment, url, secret):
    settings = gateway_settings(environment)
    assert (settings.url, settings.hmac_secret) == (url, secret)


def test_options_win_over_the_environment():
    settings = gateway_settings({**BOTH, "HOMING_URL": "http://homing"}, url="http://option", hmac_secret="o")
    assert (settings.url, settings.hmac_secret) == ("http://option", "o")


def test_retries_have_the_names_and_defaults_of_the_laravel_application():
    assert (gateway_settings(BOTH).retries.retries_max, gateway_settings(BOTH).retries.timeout_s) == (3, 10.0)
    retries = gateway_settings({**BOTH, "WEBHOOK_MAX_RETRIES": "0", "WEBHOOK_TIMEOUT": "2500"}).retries
    assert (retries.retries_max, retries.timeout_s) == (0, 2.5)


@pytest.mark.parametrize(
    ("environment", "options", "sentence"),
    [
        ({"HOMING_URL": "http://homing"}, {}, "give --hmac-secret or set HMAC_SECRET"),
        ({**BOTH, "HOMING_URL": "homing:8000"}, {}, "'homing:8000' is none"),
        ({**BOTH, "WEBHOOK_TIMEOUT": "10s"}, {}, "WEBHOOK_TIMEOUT is '10s'; it must be a whole number from 1 to"),
        ({**BOTH, "WEBHOOK_MAX_RETRIES": "-1"}, {}, "WEBHOOK_MAX_RETRIES is '-1'"),
        ({**BOTH, "WEBHOOK_MAX_RETRIES": "101"}, {}, "from 0 to 100"),
        ({}, {"restore": True}, "no gateway to speak to"),
        ({}, {"journal": Path("j")}, "no gateway to speak to"),
    ],
)
def test_a_wrong_value_is_one_sentence(environment, options, sentence):
    with pytest.raises(InstanceMisconfigured, match=sentence):
        gateway_settings(environment, **options)


def test_each_address_has_a_journal_of_its_own():
    settings = GatewaySettings("http://homing", "s", journal_folder=Path("/data/journals"))
    one = settings.journal_path("http://localhost:3001")
    assert one.parent == Path("/data/journals")
    assert one.name.startswith("localhost-3001-")
    addresses = ["http://localhost:3001", "https://localhost:3001", "http://localhost-3001", "http://localhost:3002"]
    assert len({settings.journal_path(address) for address in addresses}) == 4


def test_the_journal_is_where_the_operator_wants_it():
    file = GatewaySettings("http://homing", "s", journal=Path("/var/j.jsonl"), journal_folder=Path("/x"))
    assert file.journal_path("http://one") == Path("/var/j.jsonl")


def test_the_secret_is_not_shown():
    assert "hush" not in repr(GatewaySettings("http://homing", "hush"))
