"""Defects of joining: who is believed to speak, what is taken for a gateway, and what is placed where."""

from tests.mutations.defect import Defect, tests

_SPEAKERS = (tests("decide/test_speakers.py"), tests("serve/test_speakers_api.py"))
_FITNESS = (tests("flows/test_fitness.py"), tests("serve/test_half_working_instances.py"))
_CREATE = (tests("serve/test_half_working_instances.py"),)
_SENDS = (tests("decide/test_recovery.py"), tests("serve/test_send_api.py"))

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "localhost-is-believed",
        "an instance that calls itself localhost is taken for ours of that port, though there are other hosts",
        "homing/decide/reports/speakers.py",
        "    if found is not None and not any(is_elsewhere(each) for each in instances):\n",
        "    if found is not None:\n",
        _SPEAKERS,
    ),
    Defect(
        "silent-instance-speaks-not",
        "the only one that lists a session is taken for the speaker while another gives no list",
        "homing/decide/reports/speakers.py",
        "return holders[0] if len(holders) == 1 and not silent else None",
        "return holders[0] if len(holders) == 1 else None",
        _SPEAKERS,
    ),
    Defect(
        "line-for-each-refusal",
        "every refused report leaves a log line of its own",
        "homing/serve/http/rejections.py",
        "        tally.count, tally.told = tally.count + 1, told\n        if now_s - tally.since_s >= EVERY_S:\n",
        "        tally.count, tally.told = tally.count + 1, told\n        if tally.count:\n",
        (tests("serve/test_speakers_api.py"),),
    ),
    Defect(
        "wrong-key-is-no-fault",
        "an instance that refuses our key is as good as any other",
        "homing/decide/fleet/fitness.py",
        "    if fault.phase is Phase.UNAUTHORISED:\n",
        "    if fault.phase is Phase.THROTTLED:\n",
        _FITNESS,
    ),
    Defect(
        "one-404-is-enough",
        "a single answer of a proxy makes an instance misconfigured",
        "homing/decide/fleet/fitness.py",
        "SURE_AFTER = 2\n",
        "SURE_AFTER = 1\n",
        _FITNESS,
    ),
    Defect(
        "other-family-is-driven",
        "calls of one family's protocol go to another family's gateway",
        "homing/flows/failover/fitness.py",
        "        self._withhold(url, misfit.reason if misfit.foreign else None)\n",
        "        self._withhold(url, None)\n",
        _FITNESS,
    ),
    Defect(
        "unanswered-start-is-repeated",
        "a session whose start was not answered is started on another instance too",
        "homing/decide/starting/first_place.py",
        "            return Unclear(str(fault))\n        case Phase.REQUEST_REJECTED",
        "            return TryElsewhere(str(fault))\n        case Phase.REQUEST_REJECTED",
        _CREATE,
    ),
    Defect(
        "failed-create-stays",
        "an account that nobody could start is left behind",
        "homing/flows/operations/accounts.py",
        "            await self._directory.delete_account(account)\n",
        "",
        _CREATE,
    ),
    Defect(
        "never-placed-waits",
        "a send for an account that was never placed is answered as if waiting could help",
        "homing/decide/sending/recovery.py",
        "return _give_up(FailureCode.ACCOUNT_NOT_PLACED, reason, happened, final=True)",
        "return _give_up(FailureCode.SESSION_UNREACHABLE, reason, happened)",
        _SENDS,
    ),
    Defect(
        "observed-is-sent-through",
        "a message goes out through an instance that is only to be looked at",
        "homing/flows/sending/send.py",
        "if known is not None and known.mode is InstanceMode.OBSERVE:",
        "if known is not None and known.mode is None:",
        (tests("serve/test_send_api.py"),),
    ),
    Defect(
        "pong-is-pong",
        "whatever answers a ping is taken for WAHA",
        "homing/drivers/recognition/fingerprints.py",
        'dict(pong.told) == {"message": "pong"}',
        'pong.told.get("message") == "pong"',
        (tests("drivers/test_recognition.py"),),
    ),
    Defect(
        "a-stranger-is-shown-the-key",
        "a gateway of another family at an instance's address is asked for lists with the instance's key",
        "homing/flows/failover/fitness.py",
        "if known.misfit is not None and known.misfit.foreign and await self._is_still_foreign(url, known):",
        "if known.misfit is not None and known.misfit.foreign and self._withhold(url, None):",
        _FITNESS,
    ),
)
