"""Defects of batches, templates and opt-outs."""

from tests.mutations.defect import Defect, tests

_BULK = (tests("serve/test_bulk_api.py"),)
_ATTACKS = (tests("serve/test_bulk_attacks.py"),)
_BATCHES = (tests("contract/test_batches_stopped.py", "serve/test_bulk_api.py"),)
_WORDS = (tests("decide/test_outbox_judgments.py"),)

_OPT_OUTS = (tests("serve/test_opt_outs_api.py", "contract/test_opt_outs_kept.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "sent-before-the-last-line",
        "a batch is sent while it is still being received",
        "homing/store/outbox/feeding.py",
        '        batches.c.workspace_id == bindparam("workspace"), batches.c.state == BatchState.RUNNING\n',
        "        batches.c.workspace_id == bindparam('workspace'), batches.c.state.in_(['running', 'receiving'])\n",
        _BATCHES,
    ),
    Defect(
        "paused-and-going",
        "what waits in a lane goes on while its batch is paused",
        "homing/store/outbox/batches.py",
        "    else:\n        _take_out_of_lanes(connection, batch)\n",
        "",
        _BATCHES,
    ),
    Defect(
        "bulk-key-forgotten",
        "the same batch, handed in once more under its key, is sent twice",
        "homing/store/outbox/batches.py",
        "        if found is not None and found.state not in (BatchState.RECEIVING, BatchState.REJECTED):\n",
        "        if found is not None and found.state is None:\n",
        (tests("serve/test_bulk_api.py", "contract/test_killed_at_commits.py"),),
    ),
    Defect(
        "one-bad-line-forgiven",
        "a batch that is all or nothing is sent without its bad lines",
        "homing/flows/outbox/bulk.py",
        "        if not valid or (invalid and wish.all_or_nothing):\n",
        "        if not valid:\n",
        _BULK,
    ),
    Defect(
        "dear-nobody",
        "a line without the template's variable is sent with a hole in it",
        "homing/decide/outbox/templates.py",
        "    return [name for name in template_places if not given.get(name)]\n",
        "    return [name for name in template_places if name not in given]\n",
        _WORDS,
    ),
    Defect(
        "templates-in-variables",
        "what stands in a variable is read as a template again",
        "homing/decide/outbox/templates.py",
        "    return _PLACE.sub(lambda match: given[match[1]], template)\n",
        "    once = _PLACE.sub(lambda match: given[match[1]], template)\n"
        "    return _PLACE.sub(lambda match: given.get(match[1], ''), once)\n",
        _WORDS,
    ),
    Defect(
        "opted-out-in-one-spelling",
        "who opted out is written to where the number is written in its other way",
        "homing/decide/outbox/chats.py",
        "    return person(address.id) if address.kind is AddressKind.PHONE else str(address)\n",
        "    return address.id if address.kind is AddressKind.PHONE else str(address)\n",
        _WORDS,
    ),
    Defect(
        "cancelled-and-held",
        "what was held back of a batch goes after the batch was cancelled",
        "homing/store/outbox/batches.py",
        "            .where(messages.c.state.in_([MessageState.ACCEPTED, MessageState.HELD]))\n",
        "            .where(messages.c.state == MessageState.ACCEPTED)\n",
        _BATCHES,
    ),
    Defect(
        "paused-and-back-in-its-lane",
        "a message that did not leave goes on from its lane although its batch was paused meanwhile",
        "homing/store/outbox/lanes.py",
        "    _back_into_batches(connection, rows)\n",
        "",
        _BATCHES,
    ),
    Defect(
        "texts-without-a-bound",
        "a template that repeats a variable makes a text of any length",
        "homing/serve/bulk_lines.py",
        "    if length > MESSAGE_MAX:\n",
        "    if length > 10_000 * MESSAGE_MAX:\n",
        _ATTACKS,
    ),
    Defect(
        "key-of-another-batch",
        "another batch under a used key is answered as if it were the first",
        "homing/flows/outbox/bulk.py",
        "    return known.fingerprint in (None, fingerprint)\n",
        "    return bool(fingerprint)\n",
        _ATTACKS,
    ),
    Defect(
        "batch-without-an-end",
        "a batch runs for ever, with nothing left to send",
        "homing/store/outbox/batches.py",
        "    done = (batches.c.state == BatchState.RUNNING, ~left.exists())\n",
        "    done = (batches.c.state == BatchState.RECEIVING, ~left.exists())\n",
        (tests("contract/test_killed_at_commits.py", "serve/test_bulk_api.py"),),
    ),
    Defect(
        "opted-out-and-sent-at-once",
        "a send whose caller waits reaches who opted out",
        "homing/flows/sending/accept.py",
        "        return listed is None or workspace in listed\n",
        "        return False\n",
        _OPT_OUTS,
    ),
    Defect(
        "opt-outs-by-spelling",
        "who opted out is written to under another spelling of his number",
        "homing/flows/sending/accept.py",
        "                await self._opt_outs.check(route.workspace_id, chat_of(recipient.address))\n",
        "                await self._opt_outs.check(route.workspace_id, recipient.address.id)\n",
        _OPT_OUTS,
    ),
    Defect(
        "opt-outs-kept-for-ever",
        "a gateway goes on with the list that it read before somebody opted out",
        "homing/flows/sending/opt_outs.py",
        "                self._forget(workspace)\n",
        "",
        _OPT_OUTS,
    ),
    Defect(
        "opt-outs-of-a-late-reading",
        "a list that was read before somebody opted out is kept after he did",
        "homing/flows/sending/opt_outs.py",
        "        if heard == self._heard:\n            self._whole[workspace] = whole\n",
        "        self._whole[workspace] = whole\n",
        _OPT_OUTS,
    ),
    Defect(
        "opt-outs-untold",
        "other gateways do not hear that somebody opted out",
        "homing/store/outbox/outbox.py",
        "            return added, [OptOutsChanged(workspace)] if added else []\n",
        "            return added, []\n",
        _OPT_OUTS,
    ),
    Defect(
        "key-lost-to-an-opt-out",
        "a send to who opted out keeps its key from being used",
        "homing/flows/sending/accept.py",
        "            await self._keyed.give_back(held)\n            self._keyed.leave(held)\n",
        "            self._keyed.leave(held)\n",
        _OPT_OUTS,
    ),
)
