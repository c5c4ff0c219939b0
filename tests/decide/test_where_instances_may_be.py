"""Where a cloud tells machines their credentials there is no instance, however the address is written."""

import pytest

from homing.decide.fleet.addresses import Reachable, networks
from homing.model.urls import normal

REFUSED = [
    "169.254.169.254",
    "169.254.10.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "metadata.google.internal",
    "Metadata.Google.Internal.",
]


@pytest.mark.parametrize("host", REFUSED)
def test_a_metadata_address_is_refused(host: str) -> None:
    assert Reachable().refused(host) is not None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "10.0.0.7", "192.168.1.2", "wa1.internal"])
def test_where_instances_are_is_not(host: str) -> None:
    assert Reachable().refused(host) is None


def test_an_operator_may_allow_networks() -> None:
    allowed = Reachable(networks("169.254.10.0/24, fe80::/10"))
    assert allowed.refused("169.254.10.7") is None
    assert allowed.refused("fe80::7") is None
    assert allowed.refused("169.254.169.254") is not None


@pytest.mark.parametrize(
    "url",
    [
        "http://a\nb:1",
        "http://a\t:1",
        "http://a b:1",
        "http://a:1/x y",
        "http://a'b:1",
        'http://a":1',
        "http://a:1/\x00",
        "http://a:1/\x7f",
        "http://a:1\r\nHost: b",
        "http://a\u2028b:1",
        "http://a\\b:1",
        "http://<a>:1",
        "http://a:1/" + "x" * 500,
    ],
)
def test_an_address_with_what_no_address_has_in_it_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="in it"):
        normal(url)
