"""The multi-device service as a process, its media, and its orders."""

import asyncio
import json
import os
import signal
import ssl
import sys
from pathlib import Path

import aiohttp
import pytest

from simulated_whatsapp.multidevice.wire.dictionary import NoDictionary, read_dictionary


async def started(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (
        sys.executable,
        "-m",
        "homing.demo.child",
        str(os.getpid()),
        "simulated_whatsapp",
        "multidevice",
        *arguments,
    )
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


@pytest.mark.e2e
async def test_it_says_where_it_listens_and_keeps_its_root_over_a_restart(tmp_path):
    roots = []
    for _ in range(2):
        process = await started("--ledger", str(tmp_path / "ledger"), "--keys", str(tmp_path / "keys"))
        assert process.stdout is not None
        told = json.loads(await process.stdout.readline())
        roots.append(told["root_key"])
        assert (tmp_path / "keys" / "noise-root.hex").read_text() == told["root_key"]
        async with aiohttp.ClientSession() as http, http.get(f"http://{told['address']}/admin/stats") as answer:
            assert (await answer.json())["armed"] == []
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert roots[0] == roots[1]


@pytest.mark.e2e
@pytest.mark.parametrize("wrong", [("--dictionary", "nowhere"), ("--address", "203.0.113.1:1")])
async def test_what_cannot_work_is_one_sentence(tmp_path, wrong):
    process = await started("--ledger", str(tmp_path / "ledger"), "--keys", str(tmp_path / "keys"), *wrong)
    _, error = await process.communicate()
    assert process.returncode == 2
    assert len(error.splitlines()) == 1


async def test_media_are_taken_and_given_over_https(whatsapp):
    context = ssl.create_default_context(cafile=whatsapp.keys.authority)
    async with aiohttp.ClientSession() as http:
        url = f"https://{whatsapp.media}/mms/image/abc?auth=simulated&token=abc"
        async with http.post(url, data=b"sealed bytes", ssl=context) as answer:
            told = json.loads(await answer.text())
        async with http.get(f"https://{whatsapp.media}{told['direct_path']}", ssl=context) as answer:
            assert await answer.read() == b"sealed bytes"
        async with http.get(f"https://{whatsapp.media}/v/unknown", ssl=context) as answer:
            assert answer.status == 404


def test_the_words_are_read_from_an_installed_client(tmp_path: Path):
    file = tmp_path / "lib" / "WABinary" / "constants.js"
    file.parent.mkdir(parents=True)
    file.write_text(
        "export const DOUBLE_BYTE_TOKENS = [\n    [\n        'one',\n        'it\\'s'\n    ],\n    ['two']\n];\n"
        "export const SINGLE_BYTE_TOKENS = [\n    '',\n    'xml'\n];\n"
    )
    words = read_dictionary(tmp_path)
    assert words.single == ("", "xml")
    assert words.double == (("one", "it's"), ("two",))
    file.write_text("export const SOMETHING = 1;")
    with pytest.raises(NoDictionary, match="holds no SINGLE_BYTE_TOKENS"):
        read_dictionary(tmp_path)
