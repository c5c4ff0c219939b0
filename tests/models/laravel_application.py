"""The Laravel application's database, as far as an import reads it: the tables that its migrations make."""

from collections.abc import Iterable, Sequence

import pymysql

from homing.imports.dsn import read_dsn

_ACCOUNTS = """
    CREATE TABLE whatsapp_accounts (
        id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, uuid CHAR(36) NOT NULL UNIQUE,
        workspace_id BIGINT UNSIGNED NOT NULL, assigned_instance_index TINYINT NULL,
        assigned_instance_url VARCHAR(255) NULL, session_id VARCHAR(255) NOT NULL UNIQUE, phone_number VARCHAR(50) NULL,
        provider_type ENUM('meta', 'webjs') NOT NULL DEFAULT 'webjs',
        status ENUM('qr_scanning', 'authenticated', 'connected', 'disconnected', 'failed')
            NOT NULL DEFAULT 'qr_scanning',
        qr_code TEXT NULL, session_data LONGTEXT NULL, is_primary TINYINT(1) NOT NULL DEFAULT 0, metadata JSON NULL,
        created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL, deleted_at TIMESTAMP NULL)
"""
_CONTACTS = """
    CREATE TABLE contacts (
        id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, uuid CHAR(50) NOT NULL UNIQUE, workspace_id INT NOT NULL,
        first_name VARCHAR(255) NULL, last_name VARCHAR(255) NULL, full_name VARCHAR(255) NULL,
        phone VARCHAR(255) NULL, email VARCHAR(255) NULL, chat_type ENUM('private', 'group') NOT NULL DEFAULT 'private',
        created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL, deleted_at TIMESTAMP NULL)
"""
_WORKSPACES = """
    CREATE TABLE workspaces (
        id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, uuid CHAR(50) NOT NULL UNIQUE, identifier VARCHAR(128) NOT NULL,
        name VARCHAR(255) NULL)
"""
Row = Sequence[object]
AT_ONCE = 2_000


class LaravelApplication:
    """Its tables in one database of MariaDB, to be filled."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.run(_ACCOUNTS, _CONTACTS, _WORKSPACES)

    def accounts(self, rows: Iterable[Row]) -> None:
        """Rows of id, uuid, workspace, session id, phone, status and instance."""
        columns = "id, uuid, workspace_id, session_id, phone_number, status, assigned_instance_url"
        self._fill(f"INSERT INTO whatsapp_accounts ({columns}) VALUES (%s, %s, %s, %s, %s, %s, %s)", rows)

    def contacts(self, rows: Iterable[Row]) -> None:
        """Rows of id, uuid, workspace, first name and phone."""
        columns = "id, uuid, workspace_id, first_name, phone"
        self._fill(f"INSERT INTO contacts ({columns}) VALUES (%s, %s, %s, %s, %s)", rows)

    def run(self, *statements: str) -> None:
        self._fill_all([(statement, None) for statement in statements])

    def _fill(self, statement: str, rows: Iterable[Row]) -> None:
        all_rows = list(rows)
        self._fill_all([(statement, all_rows[start : start + AT_ONCE]) for start in range(0, len(all_rows), AT_ONCE)])

    def _fill_all(self, work: Sequence[tuple[str, Sequence[Row] | None]]) -> None:
        dsn = read_dsn(self.dsn)
        connection = pymysql.connect(
            host=dsn.host,
            port=dsn.port,
            unix_socket=dsn.socket,
            user=dsn.user,
            password=dsn.password,
            database=dsn.database,
            charset="utf8mb4",
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            for statement, rows in work:
                if rows is None:
                    cursor.execute(statement)
                else:
                    cursor.executemany(statement, rows)
