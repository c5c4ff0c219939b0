"""Recipes of the docs, run as they stand there."""

import base64
import json
import re
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

DOCS = Path(__file__).parents[1] / "docs" / "webhooks.md"
SECRET = "whsec_" + base64.b64encode(b"a secret of the recipe's test.....").decode()
EVENT = {"type": "message.received", "data": {"event_id": "01a2", "message": {"body": "héllo “you”"}}}
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="NOT RUN: no node here")

_AROUND = """
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const $env = { HOMING_SECRET: given.secret };
const $input = { first: () => ({ json: { headers: given.headers } }) };
const helpers = { getBinaryDataBuffer: async () => Buffer.from(given.raw, 'base64') };
(async function () { RECIPE }).call({ helpers }).then(
  (items) => console.log(JSON.stringify({ items })),
  (error) => console.log(JSON.stringify({ error: error.message })),
);
"""


def ran(headers: dict[str, str], raw: bytes) -> dict[str, Any]:
    """What n8n's Code node comes to with this request: as its Webhook node hands it on, with Raw Body on."""
    found = re.search(r"^## n8n$.*?```javascript\n(.*?)```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None and NODE is not None
    script = _AROUND.replace("RECIPE", found[1])
    given = {"secret": SECRET, "headers": headers, "raw": base64.b64encode(raw).decode()}
    done = subprocess.run(
        [NODE, "-e", script], input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    came: dict[str, Any] = json.loads(done.stdout)
    return came


def signed(raw: bytes, *, age_s: float = 0.0, secret: str = SECRET) -> dict[str, str]:
    at = datetime.fromtimestamp(time.time() - age_s, UTC)
    signature = Webhook(secret).sign("01a2", at, raw.decode())
    return {"webhook-id": "01a2", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


RAW = json.dumps(EVENT, ensure_ascii=False).encode()


def test_n8n_takes_what_we_signed() -> None:
    assert ran(signed(RAW), RAW) == {"items": [{"json": EVENT}]}


def test_n8n_takes_either_of_two_signatures_after_a_rotation() -> None:
    other = signed(RAW, secret="whsec_" + base64.b64encode(b"another secret, the one before....").decode())
    both = signed(RAW) | {"webhook-signature": f"{other['webhook-signature']} {signed(RAW)['webhook-signature']}"}
    assert "items" in ran(both, RAW)


def test_n8n_refuses_what_was_changed_or_is_old() -> None:
    assert ran(signed(RAW), RAW.replace(b"you", b"me")) == {"error": "not signed by Homing"}
    assert ran(signed(RAW, age_s=900), RAW) == {"error": "too old"}
