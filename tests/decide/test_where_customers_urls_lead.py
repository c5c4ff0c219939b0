"""No URL of a customer's leads inside, in whatever spelling: each line here is an attempt that was made somewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.egress.addresses import PublicOnly
from homing.decide.egress.reading import customer_url
from homing.decide.egress.rules import EgressRules
from homing.decide.fleet.addresses import networks
from homing.model.deliveries.egress import UrlRefused

RULES = EgressRules(own=frozenset({("hooks.example.com", 443), ("gateway.example.com", 8000)}), own_port=8000)

LOOPBACK = """
http://127.0.0.1/ http://127.0.0.1:80/ http://127.0.0.1:9000/hook https://127.0.0.1/ http://127.0.0.2/
http://127.255.255.254/
http://127.1.2.3:8443/x?y=1 http://0.0.0.0/ http://0.0.0.0:9000/ http://0.1.2.3/ http://[::1]/ http://[::1]:9000/
http://[0:0:0:0:0:0:0:1]/ http://[0000:0000:0000:0000:0000:0000:0000:0001]/ http://[::]/ http://[0::0]:9000/
"""
OTHER_SPELLINGS_OF_V4 = """
http://2130706433/ http://2130706433:9000/ http://017700000001/ http://0x7f000001/ http://0X7F000001/ http://0x7F.1/
http://127.1/ http://127.0.1/ http://127.00.0.1/ http://0177.0.0.1/ http://0177.0.0.01/ http://0x7f.0.0.1/
http://0x7f.0x0.0x0.0x1/
http://127.0.0.0x1/ http://127.0.0.01/ http://00000127.0.0.1/ http://127.0.0.1./ http://127.0.0.1../ http://127.0.0/
http://1/ http://0/ http://0x0/ http://00/ http://256.256.256.256/ http://127.0.0.1.1/ http://0xa9fea9fe/
http://2852039166/
http://0251.0376.0251.0376/ http://0xa9.0xfe.0xa9.0xfe/ http://169.254.43518/ http://169.16689662/ http://10.1/
http://0xa.0.0.1/
http://012.0.0.1/ http://3232235777/ http://192.168.257/ http://4294967295/ http://4294967296/ http://-1/
http://127.0.0.-1/
http://a.b.1/ http://example.0x7f/ http://example.com.1/
"""
PRIVATE = """
http://10.0.0.1/ http://10.255.255.255/ http://172.16.0.1/ http://172.31.255.254/ http://192.168.0.1/
http://192.168.1.1:8080/
http://100.64.0.1/ http://100.127.255.254/ http://192.0.0.1/ http://192.0.0.170/ http://192.0.2.1/ http://198.18.0.1/
http://198.19.255.255/ http://198.51.100.7/ http://203.0.113.9/ http://192.88.99.1/ http://224.0.0.1/
http://239.255.255.250/
http://240.0.0.1/ http://255.255.255.255/ http://192.31.196.1/ http://192.52.193.1/ http://192.175.48.1/
http://[fc00::1]/ http://[fd12:3456:789a::1]/ http://[fdff:ffff::1]:9000/ http://[ff02::1]/ http://[ff0e::1]/
http://[fec0::1]/
http://[100::1]/ http://[2001:db8::1]/ http://[3fff::1]/ http://[2001:2::1]/ http://[2001:10::1]/ http://[2001:20::1]/
http://[2620:4f:8000::1]/ http://[4000::1]/ http://[5f00::1]/ http://[e000::1]/
"""
METADATA = """
http://169.254.169.254/ http://169.254.169.254/latest/meta-data/iam/security-credentials/
http://169.254.170.2/v2/credentials
http://169.254.169.253/ http://169.254.0.1/ http://100.100.100.200/latest/meta-data/ http://192.0.0.192/opc/v1/instance/
http://168.63.129.16/machine http://[fd00:ec2::254]/latest/meta-data/ http://[fd20:ce::254]/ http://[fe80::a9fe:a9fe]/
http://metadata.google.internal/computeMetadata/v1/ http://METADATA.google.internal/ http://metadata/
http://metadata.goog/
http://instance-data/latest/
"""
V4_INSIDE_V6 = """
http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/ http://[0:0:0:0:0:ffff:127.0.0.1]/ http://[::FFFF:127.0.0.1]:9000/
http://[::ffff:169.254.169.254]/ http://[::ffff:a9fe:a9fe]/ http://[::ffff:10.0.0.1]/ http://[::ffff:192.168.0.1]/
http://[::ffff:8.8.8.8]/ http://[::127.0.0.1]/ http://[::7f00:1]/ http://[::10.0.0.1]/ http://[::8.8.8.8]/
http://[::ffff:0:127.0.0.1]/ http://[::ffff:0:7f00:1]/ http://[64:ff9b::127.0.0.1]/ http://[64:ff9b::7f00:1]/
http://[64:ff9b::a9fe:a9fe]/ http://[64:ff9b::10.0.0.1]/ http://[64:ff9b:1::7f00:1]/ http://[64:ff9b:1::1]/
http://[2002:7f00:1::]/ http://[2002:7f00:0001::1]/ http://[2002:a9fe:a9fe::]/ http://[2002:a00:1::]/
http://[2002:c0a8:1::]/
http://[2001:0:7f00:1::]/ http://[2001::1]/ http://[2001:0000:4136:e378:8000:63bf:80ff:fffe]/
http://[2a00:1450::5efe:127.0.0.1]/ http://[2a00:1450:4001:0:0:5efe:a9fe:a9fe]/
http://[2a00:1450:4001:0:200:5efe:10.0.0.1]/
http://[fe80::5efe:10.0.0.1]/
"""
LINK_LOCAL_AND_ZONES = """
http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[fe80::1%eth0]/ http://[fe80::1%1]/ http://[febf::1]/ http://[::1%lo]/
http://[2a00:1450:4001:82f::200e%25eth0]/
"""
USERS_AND_SEPARATORS = """
http://user@example.com/ http://user:password@example.com/ http://example.com@127.0.0.1/ http://127.0.0.1@example.com/
http://example.com:80@127.0.0.1/ http://@127.0.0.1/ http://:@127.0.0.1/ http://example.com#@127.0.0.1/
http://example.com/#frag
http://example.com?@127.0.0.1/#x http://127.0.0.1#example.com http://example.com\\@127.0.0.1/
http://127.0.0.1\\@example.com/
http:\\\\127.0.0.1\\ http://example.com\\.127.0.0.1/ http:/127.0.0.1/ http:127.0.0.1 http:///127.0.0.1/ //127.0.0.1/
///127.0.0.1
http://[::1]@example.com/ http://example.com[::1]/ http://[[::1]]/ http://[::1/ http://::1/ http://[127.0.0.1]/
http://[]/ http://[::g]/
http://[v1.fe80::a]/ http://[::1]x/ http://[::1]:/ http://example.com:/ http://example.com:0/ http://example.com:00080/
http://example.com:65536/ http://example.com:80a/ http://example.com:-80/ http://example.com:+80/
http://example.com:80:80/
http://example.com:8_0/ http://example..com/ http://.example.com/ http://example.com./ http://-example.com/
http://exa_mple.com/
http://example-.com/ http://*.example.com/ http://%31%32%37.0.0.1/ http://127.0.0.1%2eexample.com/ http://exam%70le.com/
http://127.0.0.1%00.example.com/ http://127.0.0.1;example.com/ http://127.0.0.1,example.com/ http://(127.0.0.1)/
http://$HOME/
"""
SCHEMES_AND_PORTS = """
ftp://example.com/ file:///etc/passwd gopher://127.0.0.1:6379/_FLUSHALL dict://127.0.0.1:11211/stat ldap://127.0.0.1/
jar:http://x!/ tftp://x/
javascript:alert(1) data:text/plain,hello ws://example.com/ wss://example.com/ unix:///var/run/docker.sock
netdoc:///etc/passwd
http+unix://%2Fvar%2Frun/ sftp://example.com/ httpx://example.com/ example.com localhost http:// https:// http
example.com/hook /hook
http://example.com:22/ http://example.com:25/ http://example.com:6379/ http://example.com:11211/
https://example.com:587/
http://example.com:6667/ http://example.com:143/ http://example.com:53/ http://example.com:2049/ http://example.com:111/
"""
US_OURSELVES = """
https://hooks.example.com/in https://HOOKS.example.com:443/ http://gateway.example.com:8000/api/v1/endpoints
http://Gateway.Example.COM:8000/
"""
WITH_SPACES_AND_MORE = [
    "",
    " ",
    " http://example.com/",
    "http://example.com/ ",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com/\r\nHost: 127.0.0.1",
    "http://exam\nple.com/",
    "http://127.0.0.1\t/",
    "http://example.com\x00.127.0.0.1/",
    "http://example.com/\x7f",
    "http://example.com/%0",
    "http://example.com/%zz",
    'http://example.com/"',
    "http://example.com/<x>",
    "http://example.com/{x}",
    "http://example.com/x|y",
    "http://example.com/" + "x" * 2_000,
    "http://" + "a" * 64 + ".com/",
    "http://" + ".".join(["abcdefgh"] * 29) + "/",
    "http://１２７.０.０.１/",
    "http://127。0。0。1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://exa\u00admple.com/",
    "http://\u200b127.0.0.1/",
    "http://münchen.example/",
    "http://еxample.com/",
    "http://example．com/",
    "http：//127.0.0.1/",
    "http:／／127.0.0.1/",
    "http://example.com／@127.0.0.1/",
    "http://٠.٠.٠.٠/",
    "http://ſ3.example.com/",
    "http://\u202e1.0.0.721/",
    "http://[：：1]/",
]
REFUSED = [
    *(LOOPBACK + OTHER_SPELLINGS_OF_V4 + PRIVATE + METADATA + V4_INSIDE_V6 + LINK_LOCAL_AND_ZONES).split(),
    *(USERS_AND_SEPARATORS + SCHEMES_AND_PORTS + US_OURSELVES).split(),
    *WITH_SPACES_AND_MORE,
]


def test_there_are_as_many_attempts_as_we_say() -> None:
    assert len(set(REFUSED)) == len(REFUSED) >= 250


@pytest.mark.parametrize("number", range(len(REFUSED)), ids=lambda number: f"{number:03}")
def test_it_is_refused(number: int) -> None:
    with pytest.raises(UrlRefused):
        RULES.read(REFUSED[number])


@pytest.mark.parametrize(
    ("text", "called", "port"),
    [
        ("https://example.com/hook", "https://example.com/hook", 443),
        ("https://EXAMPLE.com/Hook?a=B%20c", "https://example.com/Hook?a=B%20c", 443),
        ("HTTP://example.com", "http://example.com/", 80),
        ("http://example.com?x=1", "http://example.com/?x=1", 80),
        ("http://example.com:8080/", "http://example.com:8080/", 8080),
        ("https://example.com:443/", "https://example.com/", 443),
        ("https://xn--mnchen-3ya.example/", "https://xn--mnchen-3ya.example/", 443),
        ("https://8.8.8.8/", "https://8.8.8.8/", 443),
        ("http://[2a00:1450:4001:082f:0::200e]:8080/x", "http://[2a00:1450:4001:82f::200e]:8080/x", 8080),
        ("https://hooks.example.com:8443/", "https://hooks.example.com:8443/", 8443),
        ("https://0x7f.example.com/", "https://0x7f.example.com/", 443),
        ("https://a.b-c.example/x/../y;z=1", "https://a.b-c.example/x/../y;z=1", 443),
    ],
)
def test_a_plain_url_is_read_in_one_way(text: str, called: str, port: int) -> None:
    url = RULES.read(text)
    assert (url.text, url.port) == (called, port)
    assert customer_url(url.text) == url


def test_an_operator_may_allow_networks_and_nothing_else_comes_along() -> None:
    rules = EgressRules(PublicOnly(networks("127.0.0.0/8, 10.1.0.0/16, ::1/128")))
    for text in (
        "http://127.0.0.1:9000/",
        "http://127.9.9.9/",
        "http://10.1.2.3/",
        "http://[::1]/",
        "https://8.8.8.8/",
    ):
        rules.read(text)
    for text in ("http://10.2.0.1/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/", "http://[fe80::1]/"):
        with pytest.raises(UrlRefused):
            rules.read(text)


def test_a_translator_is_allowed_with_what_lies_behind_it() -> None:
    rules = EgressRules(PublicOnly(networks("64:ff9b::/96")))
    rules.read("http://[64:ff9b::808:808]/")
    with pytest.raises(UrlRefused, match=r"127\.0\.0\.1 in another spelling"):
        rules.read("http://[64:ff9b::7f00:1]/")


@given(st.text(max_size=60) | st.from_regex(r"https?://[\w.:%\[\]@#?\\/-]{0,40}"))
def test_whatever_is_read_is_read_the_same_by_others(text: str) -> None:
    from urllib.parse import urlsplit

    from yarl import URL

    try:
        url = customer_url(text)
    except UrlRefused:
        return
    split, yarl = urlsplit(url.text), URL(url.text, encoded=True)
    assert split.hostname == yarl.host == url.host
    assert (split.port or {"http": 80, "https": 443}[split.scheme]) == yarl.port == url.port
    assert split.username is split.password is None
    assert yarl.raw_path_qs == url.target
