"""Defects of bringing fleets in: whose session a name means, what an observed gateway is spared, whose key is shown."""

from tests.mutations.defect import Defect, tests

_FLEETS = (tests("serve/test_fleet_adoption.py"),)
_JUDGED = (tests("decide/test_fleet_adoption_judgments.py"),)
_BOUNDARY = (tests("drivers/test_our_ids_and_theirs.py"),)
_STORED = (tests("contract/test_adoptions.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "observed-is-operated",
        "what is only observed is sent through, started and stopped like the rest",
        "homing/routing/roster.py",
        "known is not None and known.mode is InstanceMode.OBSERVE else driver",
        "known is None else driver",
        _BOUNDARY,
    ),
    Defect(
        "a-name-says-it-all",
        "a session is known by its name alone, where other gateways use that name too",
        "homing/decide/knowledge/native_names.py",
        "if each.person == person(digits)]",
        "if each.instance_url != url]",
        _JUDGED,
    ),
    Defect(
        "our-id-is-sent",
        "a gateway is asked for a session by our id and not by its own name",
        "homing/drivers/around/native_names.py",
        "            return known.native_id\n",
        "            return session_id\n",
        _BOUNDARY,
    ),
    Defect(
        "either-holder-is-adopted",
        "of two gateways that list one session by name and phone, the first is taken for its holder",
        "homing/decide/knowledge/fleet_adoption.py",
        "        if _identity(there, row) in self._twice:\n",
        "        if False:\n",
        _JUDGED,
    ),
    Defect(
        "one-bad-row-costs-the-fleet",
        "a session that cannot be taken up takes those with it that were listed beside it",
        "homing/store/directory/adopting.py",
        "        point.rollback()\n        return NotMade(str(taken))\n",
        "        raise\n",
        _STORED,
    ),
    Defect(
        "adopted-is-routed",
        "an adopted gateway is routed at once",
        "homing/flows/operations/adopt_fleet.py",
        "        return InstanceMode.OBSERVE\n",
        "        return InstanceMode.ROUTE\n",
        _FLEETS,
    ),
    Defect(
        "adopting-again-observes-again",
        "to adopt a gateway once more takes the routing away from it",
        "homing/flows/operations/adopt_fleet.py",
        "    return known.mode\n",
        "    return InstanceMode.OBSERVE\n",
        _FLEETS,
    ),
    Defect(
        "nobody-writes-it-down",
        "what would have been done on an observed instance is neither done nor written down",
        "homing/flows/background/observing.py",
        '        self.would(WouldKind.ALERT, url, session, f"{kind.value}: {reason}")\n',
        "",
        _FLEETS,
    ),
    Defect(
        "kept-in-the-clear",
        "the key of somebody's gateway stands in the database as it was given",
        "homing/drivers/around/sealed_keys.py",
        "self._ciphers[0].encrypt(nonce, key.encode(), whose.encode())",
        "key.encode()",
        _BOUNDARY,
    ),
    Defect(
        "any-instance-opens-it",
        "a key that was sealed for one instance opens for another",
        "homing/drivers/around/sealed_keys.py",
        "cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], whose.encode())",
        'cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], b"http://a:3000")',
        _BOUNDARY,
    ),
)
