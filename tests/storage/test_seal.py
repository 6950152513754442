"""A seal fixes what was recorded: what is changed, removed or slipped in below it later is named."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, text

from storage import audit, seal
from storage.append_only import append_only_ddl
from storage.verification import rows_with_wrong_digest

NOW = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)


@pytest.fixture
def pages(on_foundation: Connection) -> Connection:
    """A connection to a database with one append-only table ``page``, empty."""
    on_foundation.execute(
        text(
            """
            CREATE TABLE page (number integer PRIMARY KEY, words text,
                recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(), row_digest bytea NOT NULL DEFAULT '')
            """
        )
    )
    for statement in append_only_ddl("page"):
        on_foundation.execute(text(statement))
    on_foundation.commit()
    return on_foundation


def _write(connection: Connection, first: int, last: int) -> None:
    connection.execute(
        text(
            "INSERT INTO page (number, words) SELECT n, 'page ' || n FROM generate_series(CAST(:a AS integer), CAST(:b AS integer)) AS n"
        ),
        {"a": first, "b": last},
    )
    connection.commit()


def _seal(connection: Connection) -> seal.Seal:
    made = seal.seal_evidence(connection, NOW)
    connection.commit()
    return made


def _problems(connection: Connection) -> list[str]:
    return [str(row) for row in seal.verify_seals(connection)]


def test_a_seal_covers_each_row_once_and_seals_follow_each_other(pages: Connection) -> None:
    _write(pages, 1, 600)
    first = _seal(pages)
    _write(pages, 601, 700)
    second = _seal(pages)
    third = _seal(pages)

    assert [s.members["page"].row_count for s in (first, second, third)] == [600, 100, 0]
    assert [s.seq for s in (first, second, third)] == [1, 2, 3]
    assert first.previous_digest == bytes(32)
    assert (second.previous_digest, third.previous_digest) == (first.digest, second.digest)
    assert _problems(pages) == []
    assert rows_with_wrong_digest(pages) == []


def test_a_root_can_be_recomputed_without_the_database(pages: Connection) -> None:
    _write(pages, 1, 600)
    made = _seal(pages)

    digests = sorted(bytes(row) for row in pages.scalars(text("SELECT row_digest FROM page")))
    buckets = [b"".join(d for d in digests if d[0] == first) for first in range(256)]
    root = hashlib.sha256(b"".join(hashlib.sha256(bucket).digest() for bucket in buckets if bucket)).digest()

    assert made.members["page"].root == root
    assert made.members["audit_event"].root == hashlib.sha256(b"").digest()
    assert seal.seal_digest(made.seq, NOW, made.cut, made.previous_digest, made.members) == made.digest


def test_the_next_seal_covers_the_seal_before(pages: Connection) -> None:
    _seal(pages)

    assert _seal(pages).members["evidence_seal"].row_count == 1


def _rewrite(connection: Connection, statement: str) -> None:
    """What a database owner can do who switches the guards off, restamps the digest and switches them on again."""
    connection.execute(text("ALTER TABLE page DISABLE TRIGGER USER"))
    connection.execute(text(statement))
    connection.execute(text("ALTER TABLE page ENABLE TRIGGER USER"))


def test_a_row_changed_together_with_its_digest_shows(pages: Connection) -> None:
    _write(pages, 1, 10)
    _seal(pages)
    _rewrite(pages, "UPDATE page SET words = 'other', row_digest = sha256('other') WHERE number = 3")

    assert _problems(pages) == ["page (rows of seal 1): a row among 10 sealed ones changed"]


def test_a_removed_row_shows_in_the_seal_it_belonged_to(pages: Connection) -> None:
    _write(pages, 1, 10)
    _seal(pages)
    _write(pages, 11, 20)
    _seal(pages)
    _rewrite(pages, "DELETE FROM page WHERE number IN (12, 13)")

    assert _problems(pages) == ["page (rows of seal 2): 2 of 10 sealed rows removed"]


def test_a_row_slipped_in_below_a_seal_shows(pages: Connection) -> None:
    _write(pages, 1, 10)
    _seal(pages)
    _rewrite(pages, "INSERT INTO page SELECT 99, 'slipped in', recorded_at, sha256('x') FROM page WHERE number = 5")

    assert _problems(pages) == ["page (rows of seal 1): 1 rows added to 10 sealed ones"]


def test_rows_recorded_after_the_last_seal_are_no_problem(pages: Connection) -> None:
    _write(pages, 1, 10)
    _seal(pages)
    _write(pages, 11, 12)

    assert _problems(pages) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM evidence_seal WHERE seq = 2", "evidence_seal (seq=3): seal 2 before it was removed"),
        ("UPDATE evidence_seal SET sealed_at = now(), digest = sha256('x') WHERE seq = 2", "evidence_seal (seq=2): it or its members were changed"),
        ("UPDATE evidence_seal_member SET row_count = 4 WHERE seq = 2 AND table_name = 'page'", "evidence_seal (seq=2): it or its members were changed"),
        ("UPDATE evidence_seal SET cut = cut + interval '1 microsecond' WHERE seq = 2", "evidence_seal (seq=2): it or its members were changed"),
    ],
)  # fmt: skip
def test_a_seal_itself_cannot_be_edited_unseen(pages: Connection, statement: str, said: str) -> None:
    for first in (1, 11, 21):
        _write(pages, first, first + 9)
        _seal(pages)
    for table in ("evidence_seal", "evidence_seal_member"):
        pages.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))

    pages.execute(text(statement))

    assert said in _problems(pages)


def test_a_table_that_was_sealed_and_dropped_shows(pages: Connection) -> None:
    _write(pages, 1, 10)
    _seal(pages)
    pages.execute(text("DROP TABLE page"))

    assert _problems(pages) == ["page (whole table): it is sealed, and it is gone"]


def test_without_seals_there_is_nothing_to_verify(pages: Connection) -> None:
    _write(pages, 1, 10)

    assert _problems(pages) == []


def test_sealing_waits_for_unfinished_writers_and_misses_none_of_their_rows(foundation: Engine, pages: Connection) -> None:
    _write(pages, 1, 5)
    inside, leave = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with foundation.connect() as connection:
            connection.execute(text("INSERT INTO page (number, words) VALUES (6, 'late')"))
            inside.set()
            leave.wait(10)
            connection.commit()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert inside.wait(10)
    with pytest.raises(seal.SealRefused, match="writing evidence for 0 s"):
        seal.seal_evidence(pages, NOW, patience_seconds=0.1)
    pages.rollback()
    threading.Timer(0.3, leave.set).start()
    begun = time.monotonic()
    made = _seal(pages)
    writer.join()

    assert time.monotonic() - begun > 0.2
    assert made.members["page"].row_count == 6
    assert _problems(pages) == []


def test_sealing_while_others_write_never_loses_or_doubles_a_row(foundation: Engine, pages: Connection) -> None:
    done = threading.Event()

    def write(offset: int) -> None:
        with foundation.connect() as connection:
            number = offset
            while not done.is_set():
                _write(connection, number, number + 4)
                audit.record(connection, now=NOW, actor="w", role="r", act="a:b:c", object_kind="page", object_id=str(number))
                connection.commit()
                number += 5

    writers = [threading.Thread(target=write, args=(offset,)) for offset in (1, 1_000_000)]
    for writer in writers:
        writer.start()
    seals = [_seal(pages) for _ in range(8)]
    done.set()
    for writer in writers:
        writer.join()
    seals.append(_seal(pages))

    assert sum(s.members["page"].row_count for s in seals) == pages.scalar(text("SELECT count(*) FROM page"))
    assert _problems(pages) == []
    assert audit.verify_chain(pages) == []


def test_the_newest_seal_is_missed_although_nothing_follows_it(books: Engine) -> None:
    with books.begin() as connection:
        seal.seal_evidence(connection, NOW)
    with books.connect() as connection:
        connection.execute(text("ALTER TABLE evidence_seal DISABLE TRIGGER ALL"))
        connection.execute(text("ALTER TABLE evidence_seal_member DISABLE TRIGGER ALL"))
        connection.execute(text("DELETE FROM evidence_seal_member"))
        connection.execute(text("DELETE FROM evidence_seal"))

        assert [str(wrong) for wrong in seal.verify_seals(connection)] == [
            "evidence_seal (seq=1): the audit log tells of it, but it is gone or another"
        ]


def test_members_without_their_seal_are_named(books: Engine) -> None:
    with books.begin() as connection:
        seal.seal_evidence(connection, NOW)
    with books.connect() as connection:
        connection.execute(text("SET session_replication_role = replica"))
        connection.execute(text("ALTER TABLE evidence_seal DISABLE TRIGGER ALL"))
        connection.execute(text("DELETE FROM evidence_seal"))

        assert any("of its members are left" in wrong.what for wrong in seal.verify_seals(connection))
