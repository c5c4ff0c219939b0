"""Defects of the operations page: what is told of the fleet's state, to whom, and who may act by a cookie."""

from tests.mutations.defect import Defect, tests

_STATE = (tests("serve/test_state_api.py"),)
_SIGNING = (tests("serve/test_signing_in.py"),)
_PAGES = (tests("serve/test_pages.py"),)
_STEERING = (tests("serve/test_steering_api.py"),)
_COSTS = (tests("serve/test_cost_of_changes.py"),)
_DAYS = (tests("decide/test_heartbeat.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "change-looks-at-every-instance",
        "whatever changes, every instance is put into words anew",
        "homing/serve/state/feed.py",
        "        for url in sorted(change.instances):\n",
        "        for url in sorted({*change.instances, *self._instances}):\n",
        _COSTS,
    ),
    Defect(
        "search-in-one-go",
        "a search through very many sessions holds up everybody else",
        "homing/serve/state/finding.py",
        "            await slices.after(len(shelf))\n",
        "            await slices.after(0)\n",
        _COSTS,
    ),
    Defect(
        "page-of-all-looks-through-all",
        "a page of the sessions costs as much as all of them",
        "homing/serve/state/finding.py",
        "            found += [session for _, session in shelves.part(begin, number - len(found))]\n",
        "            found += [session for _, session in list(iter(shelves))[begin : begin + number - len(found)]]\n",
        _COSTS,
    ),
    Defect(
        "rows-read-in-one-go",
        "very many rows become nouns on the loop in one go",
        "homing/store/db/many_rows.py",
        "        if on_the_loop and number % of == 0:\n",
        "        if on_the_loop and number < 0:\n",
        _COSTS,
    ),
    Defect(
        "cookie-is-enough-to-act",
        "a change by cookie needs no token of our page",
        "homing/serve/callers/signing_in.py",
        "    if token is None or not hmac.compare_digest(token, csrf_token(cookie)):\n",
        '    if token == "none":\n',
        _SIGNING,
    ),
    Defect(
        "any-site-may-act",
        "requests that another site's page sends are taken",
        "homing/serve/callers/signing_in.py",
        '    if site not in ("same-origin", "none") or (origin is not None and urlsplit(origin).netloc != host):\n',
        '    if site == "nobody\'s" and urlsplit(origin or "").netloc != host:\n',
        _SIGNING,
    ),
    Defect(
        "cookie-outlives-its-key",
        "a cookie whose key was revoked still opens the page",
        "homing/serve/callers/signing_in.py",
        "        return self._keyring.in_force(known.key_id)\n\n    def holds",
        "        return next(iter(self._keyring._keys.values()), None)\n\n    def holds",
        _SIGNING,
    ),
    Defect(
        "code-outlives-its-time",
        "a login code is taken after its time",
        "homing/store/records/logins.py",
        "            return row.key_id if row is not None and row.expires_at > now else None\n",
        "            return row.key_id if row is not None else None\n",
        _SIGNING,
    ),
    Defect(
        "state-of-others",
        "a workspace is told how another's sessions stand",
        "homing/serve/state/feed.py",
        "        return [row for row in rows if self._scope in (None, row.workspace_id)]\n",
        "        return rows\n",
        _STATE,
    ),
    Defect(
        "frame-told-twice",
        "a stream that goes on begins with the frame that was told last",
        "homing/serve/state/feed.py",
        "            if frame[0] <= number:\n",
        "            if frame[0] < number:\n",
        _STATE,
    ),
    Defect(
        "too-old-is-continued",
        "a stream goes on behind frames that are not kept any more",
        "homing/serve/state/feed.py",
        "        if number < self._complete_from:\n",
        "        if number < 0:\n",
        _STATE,
    ),
    Defect(
        "looker-is-offered-actions",
        "whoever may only look is offered what they may not do",
        "homing/serve/page/sessions.py",
        "    if not viewer.may_operate:\n        return []\n",
        "    if viewer.name is None:\n        return []\n",
        _PAGES,
    ),
    Defect(
        "a-plan-without-a-budget",
        "a plan of moves begins all of its steps at once",
        "homing/decide/moves/plan_progress.py",
        "    return waiting[: max(0, plan.budget - under_way)]\n",
        "    return waiting\n",
        _STEERING,
    ),
    Defect(
        "automation-off-moves-on",
        "sessions are moved although somebody turned automation off",
        "homing/flows/failover/keeper.py",
        "not self._policy.by_itself or not self._may_act() or",
        "not self._policy.by_itself or",
        _STEERING,
    ),
    Defect(
        "a-moment-away-is-down",
        "a session that was brought back in a second is shown as one that could not send",
        "homing/decide/knowledge/heartbeat.py",
        "    if ended - began >= SHORT:\n",
        "    if ended - began >= began - began:\n",
        _DAYS,
    ),
)
