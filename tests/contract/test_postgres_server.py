"""The cluster that other tests rely on."""

from __future__ import annotations

import time

import psycopg

from tests.postgres import PostgresServer


def test_each_fresh_database_is_empty_and_its_own(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.fresh_database(), postgres_server.fresh_database()
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE only_here (id int)")
    with psycopg.connect(second) as connection:
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert row.fetchone() == (0,)


def test_committed_rows_survive_a_restart_on_the_same_url(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.fresh_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
    postgres_server.stop()
    stopped = time.time()
    ready = postgres_server.start()
    assert stopped - 0.001 <= ready <= time.time()  # its log's clock has milliseconds
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
