"""Defects of how a gateway is reached, and of how it ends and begins beside others."""

from tests.mutations.defect import Defect, tests

_DOOR = (tests("serve/test_door.py"),)
_CUT = (tests("serve/test_cut_off.py"),)

_RESTORED = (tests("contract/test_restored.py"),)
_UPGRADES = (tests("contract/test_migrations.py"),)

DEFECTS: tuple[Defect, ...] = (
    Defect(
        "ready-to-the-last",
        "a gateway that was told to end says that it is ready",
        "homing/serve/front.py",
        '        if self._behind is None or (self._leaving and scope["path"] == "/ready"):\n',
        "        if self._behind is None:\n",
        _DOOR,
    ),
    Defect(
        "cut-off-without-a-record",
        "a send that the end of the gateway cuts off leaves no record",
        "homing/serve/sends.py",
        "            if not self._ends:\n",
        "            if self._driving:\n",
        _CUT,
    ),
    Defect(
        "pages-of-everybody",
        "a page of any origin may read what the API answers",
        "homing/serve/http/cors.py",
        '        known = origin.decode("latin-1").lower() in self._origins\n',
        "        known = bool(self._origins)\n",
        _DOOR,
    ),
    Defect(
        "prefix-of-anybody",
        "whoever calls may say below which path we are served",
        "homing/serve/http/subpath.py",
        "        if len(told) != 1 or (client is not None and not speaks_for_others(client[0], self._trusted)):\n",
        "        if len(told) != 1:\n",
        _DOOR,
    ),
    Defect(
        "any-newer-schema-will-do",
        "a gateway serves on a newer schema that does not serve it",
        "homing/decide/upgrading.py",
        "    if there.serves_from is not None and there.serves_from <= ours:\n",
        "    if there.serves_from is not None:\n",
        _UPGRADES,
    ),
    Defect(
        "older-releases-are-told-the-newest",
        "a release of before cannot be started any more once the database was upgraded",
        "homing/decide/upgrading.py",
        "    return known if served else now.revision\n",
        "    return now.revision\n",
        _UPGRADES,
    ),
    Defect(
        "the-vault-as-it-was-in-the-backup",
        "a restored backup raises the directory's epochs, and not the vault's",
        "homing/store/vault/restored.py",
        "            epoch=credentials.c.epoch + BEYOND_A_BACKUP,\n",
        "            epoch=credentials.c.epoch,\n",
        _RESTORED,
    ),
    Defect(
        "what-lived-on-is-not-heard",
        "counters and logins of a holder that outlived the backup are thrown away",
        "homing/store/vault/grants.py",
        "        if row.restored_from is not None and grant.epoch >= row.restored_from:\n",
        "        if row.restored_from is not None and grant.epoch < row.restored_from:\n",
        _RESTORED,
    ),
)
