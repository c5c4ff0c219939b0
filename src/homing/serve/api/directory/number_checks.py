"""`/accounts/{ref}/check-number`: which numbers are on WhatsApp, as an account's own gateway says."""

from typing import Annotated

import msgspec
from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import Meta

from homing.model.errors import Problem
from homing.model.sends.calls import NumberChecked
from homing.model.sends.faults import Fault
from homing.serve.api.context import SEND, Asking, Ref, TheGateway, account_of
from homing.serve.api.fields import Phone
from homing.serve.http.described import also


class CheckNumbersBody(msgspec.Struct, forbid_unknown_fields=True):
    """The numbers to ask about, as people write them."""

    phones: Annotated[list[Phone], Meta(min_length=1, max_length=100)]


class CheckedNumberView(msgspec.Struct):
    """What is known of one number. `exists` is null where nobody could say, and `error` says why.

    `address` is what WhatsApp knows it under: digits, or `…@lid`; null where the gateway does not tell that.
    """

    written: str
    phone: str | None
    exists: bool | None
    address: str | None
    error: str | None = None


class CheckedNumbersView(msgspec.Struct):
    """One row for each number, in the order in which they were asked about."""

    data: list[CheckedNumberView]


class NumberChecksController(Controller):
    """Questions to an account's gateway; nothing is sent to anybody, and nothing changes."""

    path = "/accounts"
    tags = ["accounts"]

    @post(
        "/{ref:str}/check-number",
        guards=[SEND],
        opt=also(409),
        status_code=200,
        summary="Ask its gateway which numbers are on WhatsApp",
    )
    async def check(
        self, ref: Ref, data: JSONBody[CheckNumbersBody], gateway: TheGateway, caller: Asking
    ) -> CheckedNumbersView:
        """Up to 100, one after the other, for 30 s at most; answers are remembered for a day.

        422 `unsupported_check` where the gateway has no such call.
        """
        account = await account_of(gateway, caller, ref)
        rows: list[CheckedNumberView] = []
        asked: list[tuple[CheckedNumberView, str]] = []
        for written in data.phones:
            row = CheckedNumberView(written, None, None, None)
            rows.append(row)
            try:
                row.phone = gateway.workspaces.number(account.workspace_id, written).digits
                asked.append((row, row.phone))
            except Problem as problem:
                row.error = problem.detail
        answers = await gateway.sends.numbers.batch(account, [digits for _, digits in asked])
        for (row, _), answer in zip(asked, answers, strict=True):
            _fill(row, answer)
        return CheckedNumbersView(rows)


def _fill(row: CheckedNumberView, answer: NumberChecked | Fault) -> None:
    if isinstance(answer, Fault):
        row.error = str(answer)
        return
    row.exists = answer.exists
    row.address = str(answer.address) if answer.address is not None else None
