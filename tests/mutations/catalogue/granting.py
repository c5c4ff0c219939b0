"""Defects of granting: who gets a session, under which epoch, and on which proof."""

from tests.mutations.defect import Defect, Seeds, tests

_GRANTS = (tests("contract/test_grants.py"),)
_JUDGED = (tests("decide/test_rehome_judgments.py"), *_GRANTS)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "no-fence-for-a-lease",
        "a lease counts as run out while it runs",
        "homing/decide/fleet/leases.py",
        "case Fence.LAPSED if holding.lease_left_s > 0:",
        "case Fence.LAPSED if holding.lease_left_s > 1e9:",
        _JUDGED,
    ),
    Defect(
        "exit-without-a-word",
        "a holder counts as ended though nobody said so",
        "homing/decide/fleet/leases.py",
        "case Fence.EXITED if not holding.holder_ended:",
        "case Fence.EXITED if holding.epoch < 0:",
        _JUDGED,
    ),
    Defect(
        "foreign-silence-is-a-fence",
        "a gateway without a lease is given up because it is silent",
        "homing/decide/fleet/leases.py",
        "return Fence.EXITED if exited else NotFenced(",
        "return Fence.EXITED if True else NotFenced(",
        _JUDGED,
    ),
    Defect(
        "epoch-stays",
        "a session is granted under the epoch that it has",
        "homing/store/grants/granting.py",
        "epoch = max(record.epoch, 0 if known is None else known.epoch) + 1",
        "epoch = max(record.epoch, 0 if known is None else known.epoch)",
        _GRANTS,
    ),
    Defect(
        "epoch-by-the-record-alone",
        "the next epoch is counted from the directory's copy, which may be behind the vault",
        "homing/store/grants/granting.py",
        "epoch = max(record.epoch, 0 if known is None else known.epoch) + 1",
        "epoch = record.epoch + 1",
        _GRANTS,
    ),
    Defect(
        "granted-on-an-old-record",
        "of two gateways that grant one session both do",
        "homing/store/grants/granting.py",
        "return row is not None and placement_of(row) == granting.expected",
        "return row is not None",
        _GRANTS,
    ),
    Defect(
        "clock-of-the-gateway",
        "leases are judged by the gateway's own clock and not by the store's",
        "homing/store/grants/granting.py",
        "    now = database.now(connection)\n    firsts",
        "    now = datetime.now(database.now(connection).tzinfo)\n    firsts",
        (*_GRANTS, Seeds("standard", 4)),
    ),
    Defect(
        "logins-unpaced",
        "an instance is given more sessions in a second than may log in",
        "homing/store/grants/granting.py",
        "had >= self.each or (comes",
        "(comes",
        (*_GRANTS, tests("flows/test_rehoming.py")),
    ),
    Defect(
        "filled-beyond-capacity",
        "two gateways that choose at the same time overfill an instance",
        "homing/store/grants/granting.py",
        "(comes and self.free.get(url, 1) <= 0)",
        "(comes and self.free.get(url, 1) < -1000)",
        _GRANTS,
    ),
    Defect(
        "planned-move-does-not-stop",
        "a session is granted elsewhere without its holder being told to stop it",
        "homing/decide/moves/next_step.py",
        "if wish.cause in PLANNED and not known.stopped and placement.instance_url not in known.down:",
        "if wish.cause in PLANNED and placement.epoch < 0:",
        (tests("decide/test_rehome_judgments.py"), tests("flows/test_operators_wishes.py")),
    ),
    Defect(
        "back-to-where-it-died",
        "a session returns to the very boot that is gone",
        "homing/decide/moves/next_step.py",
        "    return life is None or holder is None or holder.incarnation == life.id\n",
        "    return False\n",
        (tests("decide/test_rehome_judgments.py"), tests("flows/test_rehoming.py")),
    ),
    Defect(
        "never-is-moved",
        "a session whose takeover is set to never is moved",
        "homing/decide/moves/rules.py",
        "if session.takeover is Takeover.NEVER:",
        "if session.takeover is None:",
        (tests("decide/test_moves.py"),),
    ),
    Defect(
        "taken-back-for-ever",
        "we and a stranger replace each other without end",
        "homing/decide/moves/rules.py",
        "if ago_s is None or ago_s >= policy.take_back_again_after_s:",
        "if ago_s is None or ago_s >= 0:",
        (tests("decide/test_moves.py"), tests("flows/test_take_backs.py")),
    ),
)
