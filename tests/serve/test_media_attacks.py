"""Files as a stranger with a key would bring them: names that are paths, lines or masks, and forms that are none."""

import base64

import pytest

from tests.serve.test_media_api import PNG, Site, site

__all__ = ["site"]
PDF = b"%PDF-1.7\nxx"
IN_BASE64 = base64.b64encode(PDF).decode()
MISLEADING = {
    "long": "a" * 10_000,
    "header": "a\r\nX-Evil: 1.pdf",
    "turned-round": "invoice\u202efdp.exe",
    "isolated": "\u2067a.pdf",
    "line": "a\u2028b.pdf",
    "c1": "a\x85b.pdf",
    "nul": "a\x00b.pdf",
    "mark": "\ufeffa.pdf",
    "path": "../../etc/passwd",
    "windows-path": "..\\..\\system32",
    "dots": "..",
    "blank": " ",
}


@pytest.mark.parametrize("name", MISLEADING.values(), ids=MISLEADING)
async def test_a_name_that_misleads_is_refused_and_nothing_is_left(site: Site, name: str) -> None:
    status, told = await site.send(type="document", media_base64=IN_BASE64, file_name=name)
    assert (status, told["code"], told["field"]) == (422, "invalid_request", "file_name")
    if len(name) < 1_000:  # a longer one is no line that its own client would send
        status, told = await site.upload(PDF, type="document", file_name=name)
        assert (status, told["code"]) == (422, "invalid_request")
    assert site.instance.got == [] and site.left == []


@pytest.mark.parametrize(
    "name", ["فاتورة ٢٠٢٦.pdf", "חשבונית.pdf", "请款单.pdf", "😀" * 200, 'a;b="c".pdf', "100%2e.pdf"]
)
async def test_a_name_in_any_script_goes_as_it_is(site: Site, name: str) -> None:
    status, told = await site.send(type="document", media_base64=IN_BASE64, file_name=name)
    assert status == 200, told
    assert site.instance.got[-1]["filename"] == name
    assert "\r" not in site.instance.files[-1][3] and site.instance.files[-1][1] == len(PDF)


def form(site: Site, *parts: bytes) -> bytes:
    """A form to its end, as bytes: no client would write some of these."""
    fields = {b"account_uuid": site.account.encode(), b"phone": b"+62811801641", b"type": b"document"}
    written = [b'Content-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % each for each in fields.items()]
    return b"".join(b"--B\r\n" + each for each in (*written, *parts)) + b"--B--\r\n"


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name, more, value)


NO_FORMS = {
    "nested": part(b"location", b"[" * 50_000),
    "no-number": part(b"location", b'{"latitude": NaN, "longitude": 1}'),
    "two-files": part(b"file", PNG, b'; filename="a.png"') + b"--B\r\n" + part(b"file", PNG, b'; filename="b.png"'),
    "two-of-a-name": part(b"phone", b"+62811801642"),
    "no-name": b"Content-Disposition: form-data\r\n\r\nx\r\n",
    "a-thousand-parts": b"--B\r\n".join(part(b"f%d" % number, b"") for number in range(1_000)),
    "no-utf-8": part(b"file", PDF, b'; filename="\xff\xfe.pdf"'),
    "long-name": part(b"file", PDF, b'; filename="%b.pdf"' % (b"a" * 9_000)),
    "nul-in-the-name": part(b"file", PDF, b'; filename="a\x00.pdf"'),
}


@pytest.mark.parametrize("bad", NO_FORMS.values(), ids=NO_FORMS)
async def test_a_form_that_is_none_is_refused_and_nothing_is_left(site: Site, bad: bytes) -> None:
    headers = {"Authorization": f"Bearer {site.keys['sender']}", "Content-Type": "multipart/form-data; boundary=B"}
    url = f"{site.url}/api/v1/messages/send"
    async with site.http.post(url, data=form(site, bad), headers=headers) as answer:
        assert answer.status in (400, 422), await answer.text()
        assert (await answer.json())["code"] in ("malformed_body", "invalid_request")
    assert site.instance.got == [] and site.left == []


@pytest.mark.parametrize("path", [b"..\\..\\etc\\passwd", b"/etc/passwd", b"C:\\x\\passwd"])
async def test_of_a_path_in_a_form_the_last_name_is_taken(site: Site, path: bytes) -> None:
    """Browsers of old sent whole paths."""
    headers = {"Authorization": f"Bearer {site.keys['sender']}", "Content-Type": "multipart/form-data; boundary=B"}
    raw = form(site, part(b"file", PDF, b'; filename="%b"' % path))
    async with site.http.post(f"{site.url}/api/v1/messages/send", data=raw, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    assert site.instance.got[-1]["filename"] == "passwd"
