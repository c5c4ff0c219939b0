"""Defects of shares: what one tenant, one session or our own limits may cost others."""

from tests.mutations.defect import Defect, tests

_SHARES = (tests("decide/test_admission.py", "serve/test_shares.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "own-queue-is-evidence",
        "a call that our own limits kept back counts as silence of the instance",
        "homing/decide/fleet/health.py",
        "        case Phase.NOT_ATTEMPTED:\n            return None  # it was not asked\n",
        "        case Phase.NOT_ATTEMPTED:\n            return Signal.SILENT\n",
        (tests("decide/test_health.py", "flows/test_watching.py"),),
    ),
    Defect(
        "no-share-of-a-workspace",
        "the sends of one workspace may take all places of a gateway",
        "homing/decide/sending/admission.py",
        "    if not may_take(now.of_workspace, free, policy.of_a_workspace):\n",
        "    if now.of_workspace >= policy.sends:\n",
        _SHARES,
    ),
    Defect(
        "no-share-of-a-session",
        "the sends of one session may take all places of their workspace",
        "homing/decide/sending/admission.py",
        "    if not may_take(now.of_session, left, policy.of_a_session):\n",
        "    if left <= 0:\n",
        _SHARES,
    ),
    Defect(
        "health-waits-for-sends",
        "health checks share their connections with sends",
        "homing/drivers/around/metered.py",
        '"health": Lane.HEALTH',
        '"health": Lane.SENDS',
        (tests("drivers/test_bulkheads.py"),),
    ),
    Defect(
        "a-driver-that-raises",
        "a driver that raises ends the check of the whole fleet",
        "homing/drivers/around/metered.py",
        "except Exception as error:  # noqa: BLE001\n            answer = self._raised(instance, call, error)\n",
        "except ZeroDivisionError as error:\n            answer = self._raised(instance, call, error)\n",
        (tests("drivers/test_raising_drivers.py"),),
    ),
    Defect(
        "a-session-may-have-every-connection",
        "one hanging session takes all connections to its instance",
        "homing/model/shares.py",
        "    return used < most and used < free\n",
        "    return free > 0 and most > 0 and used >= 0\n",
        (tests("drivers/test_pool.py", "decide/test_admission.py"),),
    ),
    Defect(
        "a-long-queue-of-one-refuses-all",
        "whoever comes while another workspace's keys wait for the database is not let in",
        "homing/decide/sending/idempotency.py",
        " or of_workspace < MODEST or ",
        " or ",
        (tests("flows/test_keyed.py"),),
    ),
    Defect(
        "waiting-asks-without-pause",
        "sends that wait have all instances asked for their lists, one round after the other",
        "homing/flows/discovery/rediscover.py",
        "        if len(self._rounds_s) == ROUNDS_PER_S:\n",
        "        if len(self._rounds_s) > ROUNDS_PER_S:\n",
        (tests("flows/test_send.py"),),
    ),
    Defect(
        "one-session-s-fault-is-everybody-s",
        "after a fault of one session all sends through its instance wait until it was asked anew",
        "homing/flows/sending/send.py",
        "            if failures.may_be_another_boot(answer.phase):\n",
        "            if answer.phase:\n",
        (tests("flows/test_send.py"),),
    ),
    Defect(
        "repeated-by-what-it-could",
        "a message that may have left is repeated by what the instance declared some time ago",
        "homing/flows/sending/send.py",
        "timeout_s=self._policy.health_timeout_s, fresh=again)",
        "timeout_s=self._policy.health_timeout_s, fresh=False)",
        (tests("flows/test_send.py"),),
    ),
    Defect(
        "one-lane-for-all",
        "whatever is asked of an instance waits for the same connections",
        "homing/drivers/http/wire.py",
        "        lane, session = current()\n",
        "        lane, session = Lane.SENDS, current()[1]\n",
        (tests("drivers/test_wire_calls.py"),),
    ),
)
