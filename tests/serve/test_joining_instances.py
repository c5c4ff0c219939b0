"""An instance that is to join: what answers is asked first, and what could not work is named."""

from typing import Any

import pytest

from homing.model.fleet import InstanceUrl
from homing.model.instances.gateways import Recognised, RecognisedGateway
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import ModelInstance
from tests.serve.conftest import Api

D = InstanceUrl("http://d:3001")
NODE = Recognised(RecognisedGateway("webjs", "the webjs Node service"), "Express, which answers /health with 200")
EVOLUTION = Recognised(
    RecognisedGateway("evolution", "Evolution API", "2.3.6"), "Express, which answers /health with 404"
)
NGINX = Recognised(None, "nginx/1.24, which answers /health with 404 text/html")
WRONG_KEY = Fault(Phase.UNAUTHORISED, "Invalid API key", 401)


@pytest.fixture
def there(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is found at the address."""
    api.world.instances[D] = ModelInstance(D)
    found: dict[str, Any] = {"answers": NODE}

    async def recognise(url: InstanceUrl, *, timeout_s: float) -> Recognised | Fault | None:
        assert url == D and timeout_s > 0
        return found["answers"]  # type: ignore[no-any-return]

    monkeypatch.setattr(api.gateway.fleet, "recognise", recognise)
    return found


async def add(api: Api, **more: Any) -> Any:
    return await api.call("POST", "/instances", {"url": D, **more})


async def known(api: Api) -> bool:
    return D in {each["url"] for each in (await api.call("GET", "/instances")).json()["data"]}


async def test_a_gateway_of_another_family_is_refused_by_name_and_version(api: Api, there: dict[str, Any]) -> None:
    there["answers"] = EVOLUTION
    answer = await add(api)
    assert (answer.status_code, answer.json()["code"]) == (422, "driver_unknown")
    assert "this is Evolution API 2.3.6; there is no driver for it yet" in answer.json()["detail"]
    assert api.world.instances[D].lists == 0, "our key is not shown to it"
    assert not await known(api)


async def test_what_is_no_gateway_is_refused_and_described(api: Api, there: dict[str, Any]) -> None:
    there["answers"] = NGINX
    answer = await add(api)
    assert (answer.status_code, answer.json()["code"]) == (422, "no_gateway")
    assert "nginx/1.24" in answer.json()["detail"] and not await known(api)
    assert api.world.instances[D].lists == 0


async def test_an_address_that_no_instance_has_is_refused_whoever_insists(api: Api, there: dict[str, Any]) -> None:
    there["answers"] = Fault(Phase.MISDIRECTED, "169.254.169.254 is link-local")
    for insists in ({}, {"force": True}):
        answer = await add(api, **insists)
        assert (answer.status_code, answer.json()["code"]) == (422, "address_refused")
        assert "HOMING_INSTANCE_NETWORKS" in answer.json()["detail"]
    assert not await known(api)


async def test_what_an_address_answers_is_not_passed_on(api: Api, there: dict[str, Any]) -> None:
    api.world.instances[D].list_fault = Fault(Phase.SERVER_ERROR, "root:x:0:0", 500, quoted=True)
    assert "root:x" not in (await add(api)).text


@pytest.mark.parametrize(
    ("fault", "code"), [(WRONG_KEY, "key_refused"), (Fault(Phase.PATH_NOT_FOUND, status=404), "no_gateway")]
)
async def test_a_half_working_one_is_refused(api: Api, there: dict[str, Any], fault: Fault, code: str) -> None:
    api.world.instances[D].list_fault = fault
    answer = await add(api)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not await known(api)


async def test_whoever_insists_is_warned_and_the_instance_is_no_target(api: Api, there: dict[str, Any]) -> None:
    api.world.instances[D].list_fault = WRONG_KEY
    answer = await add(api, force=True)
    assert answer.status_code == 201 and "does not accept our API key" in answer.json()["warning"]
    await api.gateway.fitness.check(D)
    for n in range(4):
        made = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": f"081610864{n}"})
        assert made.json()["instance_url"] != D


async def test_what_does_not_answer_yet_joins_with_a_warning(api: Api, there: dict[str, Any]) -> None:
    there["answers"] = Fault(Phase.REFUSED)
    answer = await add(api)
    assert answer.status_code == 201 and "nothing answers there yet" in answer.json()["warning"]
    assert await known(api)


async def test_the_line_for_its_process_comes_with_the_answer(api: Api, there: dict[str, Any]) -> None:
    answer = (await add(api)).json()
    assert answer["report_to"] == f"{api.gateway.settings.our_url}/in/{answer['id']}"
    assert "HOMING_PUBLIC_URL" in answer["warning"], "the address is a guess, and says so"


async def test_one_that_is_known_already_is_409_and_nobody_is_asked(api: Api, there: dict[str, Any]) -> None:
    await add(api)
    lists = api.world.instances[D].lists
    assert (await add(api, force=True)).status_code == 409
    assert api.world.instances[D].lists == lists
