"""`homing db`: the database, and how far its schema is."""

from typing import TYPE_CHECKING

from cyclopts import App

from homing.cli.sources.source import settings
from homing.cli.terminal.options import AsJson
from homing.cli.terminal.output import note, print_facts, print_json
from homing.cli.terminal.stops import NeedsAttention

if TYPE_CHECKING:
    from homing.cli.sources.client import Document

app = App(name="db", help="The database that HOMING_DATABASE_URL names, and how far its schema is.")


@app.default
@app.command
def info(*, as_json: AsJson = False) -> None:
    """Show which database the settings name, its revision, and the revision that this version needs.

    Example: `homing db`
    """
    _show(_info(), as_json=as_json)


@app.command
def current(*, as_json: AsJson = False) -> None:
    """Print the revision that the database is at; nothing if it was never migrated.

    Example: `homing db current`
    """
    revision = _info()["revision"]
    if as_json:
        print_json({"revision": revision})
    elif revision is not None:
        print(revision)


@app.command
def migrate(*, as_json: AsJson = False) -> None:
    """Bring the database to the present of its schema; a new one is made. Gateways do the same when they start.

    Example: `homing db migrate`
    """
    from homing.cli.sources.database import told
    from homing.store.db.migrating import migrate

    url = settings().homing_database_url
    told(lambda: migrate(url))
    _show(_info(), as_json=as_json)


@app.command
def vault_key(*, as_json: AsJson = False) -> None:
    """Print a fresh key for HOMING_VAULT_KEY: its name and 32 random bytes. It is stored nowhere.

    Example: `homing db vault-key`
    """
    from homing.store.vault.sealing import fresh_key

    key = fresh_key()
    if as_json:
        print_json({"id": key.id, "key": str(key)})
    else:
        print(key)


@app.command
def rotate_vault_key(*, as_json: AsJson = False) -> None:
    """Seal all that is in the vault anew under HOMING_VAULT_KEY. Instances run on; one that is interrupted goes on.

    Whatever HOMING_VAULT_OLD_KEYS open is sealed anew; then they can be done without.

    Example: `homing db rotate-vault-key`
    """
    from homing.cli.sources.vault import rotate

    rotated = rotate(settings(), note)
    if as_json:
        print_json(rotated)
    else:
        print_facts({name.replace("_", " "): value for name, value in rotated.items()})
    if rotated["unreadable"]:
        raise NeedsAttention("Some of it does not open and was left as it is: " + rotated["unreadable"][0]["reason"])


@app.command
def restored(*, as_json: AsJson = False) -> None:
    """Say that the database was restored from a backup, before anything works on it again.

    Raises every epoch beyond what may have been granted since the backup, so that nothing from then can act; forgets
    leases, moves that were under way, cached routes, and messages that were about to leave. Instances that run tell
    the database what it lacks, and open their sessions anew. Said twice, each session is opened once more.

    Example: `homing db restored`
    """
    from homing.cli.sources.database import declare_restored

    done = declare_restored(settings())
    if as_json:
        print_json(done)
    else:
        print_facts({name.replace("_", " "): value for name, value in done.items()})


def _info() -> "Document":
    from sqlalchemy import URL

    from homing.cli.sources.database import told
    from homing.decide.upgrading import SchemaVersion
    from homing.store.db.migrating import newest_revision, schema_version
    from homing.store.db.opening import parse, shown, sqlite_path

    given = settings().homing_database_url

    async def ask() -> "Document":
        url = parse(given)
        path = sqlite_path(url) if isinstance(url, URL) else None
        there = path is None or path.exists()
        version = await schema_version(given) if there else SchemaVersion(None)
        return {
            "database": shown(url),
            "exists": there,
            "revision": version.revision,
            "newest": newest_revision(),
            "up_to_date": version.revision == newest_revision(),
            "serves_from": version.serves_from,
        }

    return told(ask)


def _show(info: "Document", *, as_json: bool) -> None:
    if as_json:
        print_json(info)
    else:
        print_facts({name.replace("_", " "): value for name, value in info.items()})
