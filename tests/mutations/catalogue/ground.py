"""Defects of what a gateway stands on: its database's servers, what is in between, and the names of instances."""

from tests.mutations.defect import Defect, tests

_FAILOVER = (tests("contract/test_failover.py"),)
_POOLED = (tests("contract/test_pooled.py"),)
_DIAL = (tests("drivers/test_dial.py"),)
_TLS = (tests("drivers/test_tls.py"),)
_DISKS = (tests("chaos/test_ground.py"),)
_READY = (tests("flows/test_readiness.py", "contract/test_write_proof.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "any-server-will-do",
        "a connection is taken though its server takes no writes",
        "homing/store/postgres/connecting.py",
        "        if refuses_writes:\n",
        "        if refuses_writes is None:\n",
        _FAILOVER,
    ),
    Defect(
        "refused-write-keeps-its-connection",
        "after a write that the server refused as read-only, its connections are used on",
        "homing/store/db/failures.py",
        '_OF_ANOTHER_SERVER = {"25006", ',
        '_OF_ANOTHER_SERVER = {"25999", ',
        _FAILOVER,
    ),
    Defect(
        "listens-to-a-standby",
        "whoever listens stays with a server that takes no writes any more",
        "homing/store/notices/postgres.py",
        "        elif not await still_writable(opened.connection, timeout_s=self._probe_timeout_s):\n",
        "        elif await still_writable(opened.connection, timeout_s=self._probe_timeout_s) is None:\n",
        _FAILOVER,
    ),
    Defect(
        "limits-of-the-session-behind-a-pooler",
        "limits are set for the session, so that the next client of the pooler has them",
        "homing/store/postgres/engine.py",
        "server.limits.set_by(local=True)",
        "server.limits.set_by(local=False)",
        _POOLED,
    ),
    Defect(
        "statement-by-statement-behind-a-pooler",
        "what was prepared on one of a pooler's connections is asked of another",
        "homing/store/postgres/engine.py",
        "    if not connection.info.get(_POOLED) or",
        "    if connection.info or",
        _POOLED,
    ),
    Defect(
        "deaf-and-content",
        "a gateway that does not hear itself says nothing of it",
        "homing/store/notices/remote.py",
        "            if connections == self._connections and not self._missed:\n",
        "            if connections != self._connections:\n",
        _POOLED,
    ),
    Defect(
        "ready-for-ever",
        "readiness is proved once and believed from then on",
        "homing/flows/background/readiness.py",
        "self._clock.monotonic() + PROVE_EVERY_S",
        'float("inf")',
        _READY,
    ),
    Defect(
        "each-probe-a-write",
        "every probe makes a write of its own",
        "homing/flows/background/readiness.py",
        "            if self._proving is None:\n",
        "            if self._proving is None or self._lacking is None:\n",
        _READY,
    ),
    Defect(
        "silence-is-remembered",
        "an address that did not answer is tried again and again while its name leads elsewhere",
        "homing/drivers/http/resolving.py",
        "        except (OSError, asyncio.CancelledError):",
        "        except OSError:",
        _DIAL,
    ),
    Defect(
        "lives-for-ever",
        "a connection is used for as long as it is busy, wherever its name leads meanwhile",
        "homing/drivers/http/connection.py",
        "min(self._kept_by_peer_s(), self.lives_until - self._loop.time())",
        "self._kept_by_peer_s()",
        _DIAL,
    ),
    Defect(
        "unreachable-without-asking",
        "an instance whose name moved is called unreachable by its old address",
        "homing/drivers/http/resolving.py",
        "            if done:\n                return await fresh\n",
        "            if done:\n                fresh.close()\n                return await trying\n",
        _DIAL,
    ),
    Defect(
        "refused-certificate-is-a-lost-reply",
        "an instance that took no request, as it wants a certificate, leaves a send in doubt",
        "homing/drivers/http/tls.py",
        'bool(_REFUSED_OURS.search(error.reason or ""))',
        'not bool(_REFUSED_OURS.search(error.reason or ""))',
        _TLS,
    ),
    Defect(
        "one-silence-tells-nothing-of-the-others",
        "each connection to a server that vanished finds that out by itself, one after the other",
        "homing/store/postgres/engine.py",
        "            if isinstance(error, TimeoutError) and not pooled:\n",
        "            if isinstance(error, KeyError) and not pooled:\n",
        (tests("contract/test_postgres_away.py"),),
    ),
    Defect(
        "a-read-only-disk-is-for-ever",
        "a gateway whose database's disk comes up read-only ends, and does not wait for it",
        "homing/store/sqlite/filelock.py",
        "            kind = StoreUnavailable if may_pass(error) else StoreMisconfigured\n",
        "            kind = StoreMisconfigured if may_pass(error) else StoreMisconfigured\n",
        _DISKS,
    ),
    Defect(
        "a-full-journal-disk-is-for-ever",
        "an instance whose journal's disk comes up full or read-only ends, and does not wait for it",
        "homing/instance/notify/link.py",
        "            if not may_pass(problem):\n",
        "            if may_pass(problem) is not None:\n",
        _DISKS,
    ),
    Defect(
        "waits-for-whoever-reads-its-log",
        "an instance stands still when nobody reads its log on",
        "homing/serve/logs.py",
        "handlers=[_Standard()]",
        "handlers=[logging.StreamHandler()]",
        (tests("serve/test_logs.py"),),
    ),
    Defect(
        "connections-that-hold-themselves",
        "a connection that was closed stays in memory until the collector looks at everything",
        "homing/drivers/http/connection.py",
        "        self._parser = self._poll = None\n",
        "        self._poll = None\n",
        (tests("drivers/test_wire_calls.py"),),
    ),
)
