"""Who opted out is not written to by a send whose caller waits either; and no send pays for the list."""

import pytest

from homing.flows.sending import opt_outs
from homing.flows.sending.opt_outs import OptOuts
from homing.model.fleet import WorkspaceId
from homing.model.notices import CacheCleared
from tests.serve.conftest import Api
from tests.serve.test_outbox_api import placed

W = WorkspaceId(1)


def reads(api: Api) -> float:
    found = api.gateway.metrics.registry.get_sample_value("homing_directory_reads_total")
    assert found is not None
    return found


async def opted_out(api: Api, *phones: str) -> None:
    told = await api.call("POST", "/suppressions", {"workspace_id": 1, "phones": list(phones)})
    assert told.status_code == 200, told.text


@pytest.mark.parametrize("written", ["+62811801641", "0811801641", "62811801641@c.us", "62811801641:3@s.whatsapp.net"])
async def test_a_send_to_who_opted_out_is_422_in_every_spelling(api: Api, written: str) -> None:
    account = await placed(api)
    assert (await api.send(account, "before", phone=written)).status_code == 200
    await opted_out(api, "0811801641")
    refused = await api.send(account, "after", phone=written)
    assert (refused.status_code, refused.json()["code"]) == (422, "recipient_opted_out")
    assert refused.json()["success"] is False
    assert api.world.said("after") == 0
    assert (await api.send(account, "another", phone="+62811801642")).status_code == 200


@pytest.mark.parametrize("keyed", [{}, {"idempotency_key": "k"}])
@pytest.mark.parametrize(
    ("opted", "written"), [("+551187654321", "+5511987654321"), ("+5511987654321", "+551187654321")]
)
async def test_both_spellings_of_a_brazilian_number_are_one_person(
    api: Api, opted: str, written: str, keyed: dict[str, str]
) -> None:
    account = await placed(api)
    await opted_out(api, opted)
    refused = await api.send(account, "after", phone=written, **keyed)
    assert refused.json()["code"] == "recipient_opted_out"


async def test_a_contact_who_opted_out_is_not_written_to(api: Api) -> None:
    account = await placed(api)
    contact = (await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "+62811801641"})).json()
    await opted_out(api, "+62811801641")
    refused = await api.send(account, "after", phone=None, contact_uuid=contact["uuid"])
    assert refused.json()["code"] == "recipient_opted_out"


async def test_the_key_of_a_refused_send_is_free_and_an_old_answer_is_repeated(api: Api) -> None:
    account = await placed(api)
    assert (await api.send(account, "old", idempotency_key="old")).status_code == 200
    await opted_out(api, "+62811801641")
    assert (await api.send(account, "old", idempotency_key="old")).status_code == 200, "it was sent, and is so still"
    assert (await api.send(account, "new", idempotency_key="new")).json()["code"] == "recipient_opted_out"
    assert (await api.call("DELETE", "/suppressions/+62811801641?workspace_id=1")).status_code == 204
    assert (await api.send(account, "new", idempotency_key="new")).status_code == 200
    assert (api.world.said("old"), api.world.said("new")) == (1, 1)


async def test_one_workspaces_list_is_not_anothers(api: Api) -> None:
    account = await placed(api)
    answer = await api.call("POST", "/suppressions", {"workspace_id": 2, "phones": ["+62811801641"]}, key="stranger")
    assert answer.status_code == 200
    assert (await api.send(account, "theirs")).status_code == 200


async def test_a_send_reads_nothing_more_once_the_list_is_known(api: Api) -> None:
    account = await placed(api)
    await api.send(account, "without a list")
    before = reads(api)
    await api.send(account, "again", phone="+62811801650")
    assert reads(api) == before, "nobody opted out"
    await opted_out(api, "+62811801641")
    await api.send(account, "the list is read", phone="+62811801651")
    assert reads(api) == before + 1
    for number in range(10):
        assert (await api.send(account, "again", phone=f"+6281180166{number}")).status_code == 200
    assert reads(api) == before + 1


async def test_of_a_long_list_each_recipient_is_asked_for_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opt_outs, "WHOLE_MAX", 2)
    account = await placed(api)
    await opted_out(api, "+62811801641", "+62811801642", "+62811801643")
    await api.send(account, "the route, and that the list is long", phone="+62811801649")
    before = reads(api)
    codes = [(await api.send(account, "x", phone=f"+6281180164{n}")).status_code for n in (1, 4, 1, 4, 1, 4)]
    assert codes == [422, 200] * 3
    assert reads(api) == before + 2, "of each recipient"
    await opted_out(api, "+62811801644")
    assert (await api.send(account, "x", phone="+62811801644")).status_code == 422


async def test_a_restarted_gateway_knows_who_opted_out(api: Api, sqlite_url: str) -> None:
    account = await placed(api)
    await opted_out(api, "+62811801641")
    fresh = OptOuts(api.gateway.stores.outbox, api.gateway.clock)
    assert await fresh.has_opted_out(W, "62811801641")
    assert not await fresh.has_opted_out(W, "62811801642")
    assert account


async def test_a_lost_word_between_gateways_is_made_up_for(api: Api) -> None:
    """A gateway that may have missed notices asks again."""
    deaf = OptOuts(api.gateway.stores.outbox, api.gateway.clock)
    assert not await deaf.has_opted_out(W, "62811801641")
    await opted_out(api, "+62811801641")
    deaf.hear(CacheCleared("notices may have been missed"))
    assert await deaf.has_opted_out(W, "62811801641")


async def test_a_reading_that_word_overtook_is_not_kept(api: Api) -> None:
    """The list that is being read while somebody opts out may lack him: it is read again."""
    outbox = api.gateway.stores.outbox
    await opted_out(api, "+62811801649")
    kept = OptOuts(outbox, api.gateway.clock)
    api.gateway.stores.notices.subscribe(kept.hear)
    read_whole, slow = outbox.suppressed_chats, []

    async def overtaken(workspace: WorkspaceId, *, limit: int) -> list[str]:
        found = await read_whole(workspace, limit=limit)
        if not slow:
            slow.append(found)
            await opted_out(api, "+62811801641")
        return found

    outbox.suppressed_chats = overtaken  # type: ignore[method-assign]
    await kept.has_opted_out(W, "62811801641")
    assert await kept.has_opted_out(W, "62811801641")
