"""A PostgreSQL URL as providers give it, read; what is wrong with one, in a sentence without a secret."""

import socket
import ssl

import asyncpg
import pytest

from homing.store.db.database import StoreMisconfigured
from homing.store.db.failures import beyond_waiting
from homing.store.db.opening import open_database
from homing.store.postgres.dsn import Host, PostgresDsn, read_dsn

GIVEN = {
    "Neon": "postgresql://own:s3cret@ep-a-b-pooler.eu.neon.tech/neondb?sslmode=require&channel_binding=require",
    "Supabase": "postgresql://postgres.ref:s3cret@aws-0-eu.pooler.supabase.com:6543/postgres?pgbouncer=true",
    "RDS": "postgres://app:s3cret@x.y.rds.amazonaws.com:5432/app?sslmode=verify-full&sslrootcert=system",
    "Heroku": "postgres://u:s3cret@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d?sslmode=no-verify",
    "DigitalOcean": "postgresql://doadmin:s3cret@db-x.b.db.ondigitalocean.com:25060/defaultdb?sslmode=require",
    "CockroachDB's form": "postgresql://u:s3cret@h.example:26257/d?sslmode=require&options=--cluster%3Dx-1",
    "Patroni": "postgresql://u:s3cret@db1,db2:5433,db3/d?target_session_attrs=read-write&connect_timeout=3",
    "Azure": "postgresql://u%40srv:s3cret@srv.postgres.database.azure.com/d?sslmode=require&application_name=homing-a",
}


@pytest.mark.parametrize("provider", sorted(GIVEN.keys() - {"Heroku"}))
def test_what_providers_give_is_understood(provider: str) -> None:
    dsn = read_dsn(GIVEN[provider])
    assert dsn.password == "s3cret"
    assert "s3cret" not in str(dsn)
    assert "s3cret" not in repr(dsn)


def test_every_part_of_it_is_used() -> None:
    dsn = read_dsn(
        "postgresql://u%40x:p%40%2F%3A%25@h1,h2:5433/d%2Fb?sslmode=verify-ca&sslrootcert=%2Fca.pem&sslcert=/c&sslkey=/k"
        "&connect_timeout=7&application_name=gw&options=-c%20search_path%3Dx&target_session_attrs=primary&keepalives=1"
    )
    assert dsn.hosts == (Host("h1", 5432), Host("h2", 5433))
    assert (dsn.user, dsn.password, dsn.database) == ("u@x", "p@/:%", "d/b")
    assert (dsn.tls.mode, dsn.tls.root_cert, dsn.tls.cert, dsn.tls.key) == ("verify-ca", "/ca.pem", "/c", "/k")
    assert (dsn.connect_timeout_s, dsn.application_name, dsn.options) == (7.0, "gw", "-c search_path=x")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@[::1]:5433/d", [Host("::1", 5433)]),
        ("postgresql://u@[::1],10.0.0.2/d", [Host("::1", 5432), Host("10.0.0.2", 5432)]),
        ("postgresql:///d?host=/var/run/postgresql", [Host("/var/run/postgresql", 5432)]),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/d", [Host("/var/run/postgresql", 5432)]),
        ("postgresql://u@/d?host=a,b&port=1,2", [Host("a", 1), Host("b", 2)]),
        ("postgresql://u@/d?host=a,b&port=7", [Host("a", 7), Host("b", 7)]),
        ("postgresql:///d", [Host(None, 5432)]),
        ("postgresql+asyncpg://h?dbname=d", [Host("h", 5432)]),
    ],
)
def test_servers_are_named_in_every_way_of_libpq(url: str, hosts: list[Host]) -> None:
    assert read_dsn(url).hosts == tuple(hosts)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:hush@h/d?sslmod=require", "'sslmod', which Homing does not know"),
        ("postgresql://u:hush@h/d?password=hush&foo=hush", "'foo'"),
        (GIVEN["Heroku"].replace("s3cret", "hush"), "one of disable, allow, prefer, require, verify-ca, verify-full"),
        ("postgresql://u:hush@h/d?target_session_attrs=standby", "Homing writes"),
        ("postgresql://u:hush@h/d?connect_timeout=hush", "connect_timeout"),
        ("postgresql://u:hu@sh@h/d", "%40"),
        ("postgresql://u:hush:x@h:hush/d", "port"),
        ("postgresql://u:hush@a,b/d?port=1,2,3", "2 hosts and 3 ports"),
        ("postgresql://u:hush@::1/d", r"\[::1\]"),
        ("postgresql://u:hush@h/d?channel_binding=hush", "channel_binding"),
    ],
)
def test_what_is_wrong_is_named_without_a_secret(url: str, says: str) -> None:
    with pytest.raises(StoreMisconfigured, match=says) as refusal:
        open_database(url)
    assert "hush" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_certificate_that_cannot_be_read_is_named_at_once() -> None:
    with pytest.raises(StoreMisconfigured, match=r"/no/such/ca\.pem"):
        open_database("postgresql://u:hush@h/d?sslmode=verify-full&sslrootcert=/no/such/ca.pem")


async def test_name_and_options_reach_the_server(postgres_url: str) -> None:
    from sqlalchemy import text

    more = f"{postgres_url}?application_name=homing-7&options=-c%20work_mem%3D7MB&connect_timeout=5"
    database = open_database(more)
    asked = text("SELECT current_setting('application_name') || ' ' || current_setting('work_mem')")
    assert await database.read(lambda c: c.scalar(asked)) == "homing-7 7MB"
    await database.close()


@pytest.mark.parametrize(
    ("error", "hopeless"),
    [
        (asyncpg.InvalidPasswordError("no"), True),
        (asyncpg.InvalidAuthorizationSpecificationError("no"), True),
        (asyncpg.InvalidCatalogNameError("no"), True),
        (asyncpg.InsufficientPrivilegeError("no"), True),
        (ssl.SSLCertVerificationError(1, "no"), True),
        (asyncpg.ProtocolViolationError("unsupported startup parameter: options"), True),
        (asyncpg.CannotConnectNowError("starting up"), False),
        (asyncpg.TooManyConnectionsError("full"), False),
        (asyncpg.ReadOnlySQLTransactionError("demoted"), False),
        (ConnectionRefusedError(111, "refused"), False),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), False),
        (ssl.SSLEOFError(8, "cut"), False),
        (TimeoutError(), False),
    ],
)
def test_only_what_waiting_does_not_cure_is_hopeless(error: Exception, hopeless: bool) -> None:
    assert beyond_waiting(error) is hopeless


def test_a_dsn_without_a_password_shows_none() -> None:
    assert str(read_dsn("postgres://u@h/d")) == "postgresql://u@h:5432/d"
    assert str(PostgresDsn((Host("h", 1),), "d", "u", "p")) == "postgresql://u:***@h:1/d"
