"""Defects of speaking to other people's gateways: what their answers mean, and what they may be told."""

from tests.mutations.defect import Defect, tests

_MEANINGS = (tests("drivers/test_transcripts.py"),)
_CONTRACT = (tests("drivers/test_contract.py"),)
_GATEWAY = (tests("serve/test_foreign_gateways.py"),)
_DOOR = (tests("drivers/test_families.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "evolutions-400-sent-nothing",
        "a 400 of Evolution counts as proof that nothing was sent, whatever it says",
        "homing/drivers/evolution/answers.py",
        "    return Phase.SERVER_ERROR\n",
        "    return Phase.REQUEST_REJECTED\n",
        _MEANINGS,
    ),
    Defect(
        "wppconnects-400-sent-nothing",
        "WPPConnect's 400 for a number that does not exist counts as proof that nothing was sent",
        "homing/drivers/wppconnect/answers.py",
        "refused=Phase.OUTCOME_UNKNOWN",
        "refused=Phase.REQUEST_REJECTED",
        (*_MEANINGS, *_CONTRACT),
    ),
    Defect(
        "anything-is-an-id",
        "a success without a message id is sent, with none",
        "homing/drivers/reading.py",
        "    return name_in(value)\n",
        '    return name_in(value) or ""\n',
        _MEANINGS,
    ),
    Defect(
        "connected-is-believed",
        "WPPConnect is believed that a session is connected whose browser is dead",
        "homing/drivers/wppconnect/driver.py",
        "return replace(row, status=SessionStatus.DISCONNECTED)",
        "return row",
        (*_MEANINGS, *_CONTRACT),
    ),
    Defect(
        "no-licence-is-an-outage",
        "a gateway without its licence is taken for one that is down",
        "homing/drivers/evolution/answers.py",
        "            phase = Phase.UNLICENSED\n",
        "            phase = Phase.UNAVAILABLE\n",
        (*_MEANINGS, *_GATEWAY),
    ),
    Defect(
        "stopped-is-listed",
        "a session that is stopped counts as one that WAHA has open, and is never started again",
        "homing/drivers/waha/answers.py",
        ' if reading.part(each, "status") != "STOPPED"]',
        "]",
        _MEANINGS,
    ),
    Defect(
        "token-is-shown",
        "what a call showed to prove who we are is shown again where the gateway says it back",
        "homing/drivers/calling.py",
        "(*self.secrets(instance), *_credentials(sent), *unshown)",
        "self.secrets(instance)",
        _CONTRACT,
    ),
    Defect(
        "two-starts-of-one-session",
        "two starts of one session go to its gateway at once",
        "homing/drivers/calling.py",
        "self._starts.setdefault((instance, session.session_id), asyncio.Lock())",
        "asyncio.Lock()",
        _CONTRACT,
    ),
    Defect(
        "before-the-message-is-after-it",
        "a call that failed before the message was handed over leaves open whether it was sent",
        "homing/drivers/calling.py",
        "    if fault.phase not in _MAY_HAVE_DONE:\n        return fault\n",
        "    return fault\n",
        _CONTRACT,
    ),
    Defect(
        "foreign-session-taken-over",
        "the sessions of a foreign gateway that is gone are moved without anybody asking",
        "homing/decide/moves/movable.py",
        "    return min(wanted, traits.takeover, key=_RELUCTANCE.index)\n",
        "    return wanted\n",
        (tests("flows/test_keeper.py", "decide/test_moves.py"), tests("decide/test_abilities.py")),
    ),
    Defect(
        "code-is-a-start",
        "a session that surely waits for a scan is waited for as if it were starting",
        "homing/decide/starting/linking.py",
        "        case SessionStatus.PAIRING if row.surely_unlinked:\n            return row.status\n",
        "",
        (tests("decide/test_linking.py"), *_GATEWAY),
    ),
    Defect(
        "anybody-takes-a-name",
        "a package from outside takes the place of a driver that comes with Homing",
        "homing/plugins.py",
        'return not entry.value.startswith("homing."), entry.name',
        'return entry.value.startswith("homing."), entry.name',
        _DOOR,
    ),
    Defect(
        "one-broken-package-ends-all",
        "a driver of somebody else's that cannot be loaded keeps the gateway from starting",
        "homing/plugins.py",
        "    except Exception as error:  # noqa: BLE001\n",
        "    except ImportError as error:\n",
        _DOOR,
    ),
    Defect(
        "first-refusal-is-the-last-word",
        "an account is not made because one family's gateway refuses it, though another's would take it",
        "homing/flows/operations/accounts.py",
        "                    refused = refused or instance_fault(url, answer)\n",
        "                    raise instance_fault(url, answer)\n",
        _GATEWAY,
    ),
    Defect(
        "shown-an-old-key",
        "an instance is shown the key it had before, or none, after its keys changed",
        "homing/drivers/around/keys.py",
        "        self._made = made\n        self._changed()\n",
        "        self._made = made\n",
        (tests("drivers/test_own_keys.py"),),
    ),
)
