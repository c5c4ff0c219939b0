"""Defects of imports: what is taken over from another system, and what must not be."""

from tests.mutations.defect import Defect, tests

_MERGING = (tests("decide/test_importing.py"),)
_STORED = (tests("contract/test_imports.py"),)
_COMMAND = (tests("cli/test_import_command.py"),)
_CARRIED = (tests("contract/test_carrying.py"), tests("cli/test_sessions_command.py"))
_MAY_BE_CARRIED = (tests("decide/test_carrying_judgments.py"),)
_FROM_A_GATEWAY = (tests("cli/test_importing_from_a_gateway.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "a-record-that-beats-what-was-seen",
        "another system's record moves a session that Homing has placed",
        "homing/decide/importing/merging.py",
        "        and known.placement.instance_url is None\n",
        "",
        _MERGING,
    ),
    Defect(
        "a-phone-that-beats-what-was-seen",
        "another system's record changes the phone that was seen at a session",
        "homing/decide/importing/merging.py",
        "    if phone and known.verified_at is not None:\n",
        "    if phone and known.verified_at is None and row is None:\n",
        _MERGING,
    ),
    Defect(
        "an-id-taken-from-its-owner",
        "an imported row insists on a number that somebody has here",
        "homing/decide/importing/merging.py",
        "    return None if id in book.ids else id\n",
        "    return id\n",
        _MERGING,
    ),
    Defect(
        "a-sequence-that-gives-ids-twice",
        "after numbers were chosen the database gives them out again",
        "homing/store/directory/importing.py",
        "            skip_chosen_id(connection, table.name)\n",
        "            pass\n",
        _STORED,
    ),
    Defect(
        "changes-that-nobody-hears",
        "gateways go on sending to the phone that a contact had before the import",
        "homing/store/directory/importing.py",
        "    return merged, [AccountChanged(contact_uuid=ContactUuid(each.row.uuid)) for each in changes]\n",
        "    return merged, []\n",
        _STORED,
    ),
    Defect(
        "a-dry-run-without-a-memory",
        "a dry run does not see that two of its rows cannot both come to be",
        "homing/flows/importing/rehearsal.py",
        "        if not twice:\n",
        "        if twice or not twice:\n",
        _COMMAND,
    ),
    Defect(
        "a-password-in-an-error",
        "what cannot be understood is said back with the password in it",
        "homing/cli/root.py",
        '    return re.sub(r"://[^\\s@]*@", "://***@", said)\n',
        "    return said\n",
        _COMMAND,
    ),
    Defect(
        "a-page-read-again-from-the-start",
        "after a broken connection the source is read from where the page before began",
        "homing/imports/laravel.py",
        '                after = rows[-1]["id"]\n',
        '                after = rows[0]["id"]\n',
        _COMMAND,
    ),
    Defect(
        "an-exported-session-that-stays",
        "a session that was exported can go on here as well, so that two holders have one login",
        "homing/flows/importing/carrying.py",
        "        stale = await self._vault.forget(grant)\n",
        "        stale = None\n",
        _CARRIED,
    ),
    Defect(
        "an-export-that-loses-what-was-sealed",
        "messages that were sealed and not acknowledged do not go with an exported session",
        "homing/store/vault/carrying.py",
        "        unfinished=opened.unfinished,\n",
        "",
        _CARRIED,
    ),
    Defect(
        "a-word-that-beats-a-list",
        "a login is imported although its gateway shows it connected, since somebody vouched",
        "homing/decide/importing/carrying.py",
        "        if used is None or (known.said and row.status is SessionStatus.UNKNOWN):\n",
        "        if used is None or known.said:\n",
        _MAY_BE_CARRIED,
    ),
    Defect(
        "a-login-thrown-away-unasked",
        "an import takes the place of a login that is in the vault",
        "homing/store/vault/carrying.py",
        "    if row is not None and row.login is not None and not replace:\n",
        "    if row is None and not replace:\n",
        (tests("contract/test_carrying.py"),),
    ),
    Defect(
        "a-session-that-only-the-list-is-asked-for",
        "a login is imported although its session answers as connected, since the list says otherwise or there is none",
        "homing/flows/importing/carrying.py",
        "        answered = await self._answered(foreign, session) if foreign is not None else None\n",
        "        answered = None\n",
        _FROM_A_GATEWAY,
    ),
    Defect(
        "a-lost-connection-taken-for-an-end",
        "a login is imported from a gateway that is about to make its connection anew",
        "homing/flows/importing/carrying.py",
        "        if not proven.may_pass:\n",
        "        if proven.may_pass or not proven.may_pass:\n",
        _FROM_A_GATEWAY,
    ),
    Defect(
        "our-own-list-taken-for-a-strangers-word",
        "that an instance of ours does not have the session counts as proof that the program of a folder is stopped",
        "homing/flows/importing/carrying.py",
        "        return here if isinstance(can, Fault) or not can.share_credentials else None\n",
        "        return here\n",
        _FROM_A_GATEWAY,
    ),
    Defect(
        "a-proxys-404-taken-for-an-end",
        "a login is imported although its gateway's list could not be read, since somebody said 404",
        "homing/decide/importing/carrying.py",
        "        case Fault(phase=Phase.SESSION_NOT_FOUND) if isinstance(listing, SessionList):\n",
        "        case Fault(phase=Phase.SESSION_NOT_FOUND) if listing is not None:\n",
        _MAY_BE_CARRIED,
    ),
)
