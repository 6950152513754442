"""Evidence cannot be changed through the database, and a change made behind its back is named."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from storage import audit
from storage.append_only import append_only_ddl, drop_append_only_ddl, projection
from storage.verification import WrongRow, rows_with_wrong_digest, unprotected_tables

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)

CREATE_NOTE = """
    CREATE TABLE note (
        book text NOT NULL, page integer NOT NULL, words text, at timestamptz, on_day date, amount_minor_units bigint,
        raw bytea, facts jsonb, length interval,
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(), row_digest bytea NOT NULL DEFAULT '',
        PRIMARY KEY (book, page)
    )
"""


@pytest.fixture
def note(on_foundation: Connection) -> Connection:
    """A connection to a database with one append-only table of many types, holding one row."""
    on_foundation.execute(text(CREATE_NOTE))
    for statement in append_only_ddl("note"):
        on_foundation.execute(text(statement))
    on_foundation.execute(
        text(
            """
            INSERT INTO note (book, page, words, at, on_day, amount_minor_units, raw, facts, length, recorded_at, row_digest)
            VALUES ('a, b', 1, 'ends in ),', '2026-01-31 23:59:59.5+08', '2026-02-01', 100, '\\x00ff',
                    '{"b": 1, "a": null}', '1 day 02:00', '2001-01-01', '\\x00')
            """
        )
    )
    on_foundation.commit()
    return on_foundation


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE note SET words = 'other'",
        "UPDATE note SET words = words",
        "DELETE FROM note",
        "TRUNCATE note",
        "TRUNCATE note CASCADE",
        "INSERT INTO note (book, page) VALUES ('a, b', 1) ON CONFLICT (book, page) DO UPDATE SET words = 'other'",
        "MERGE INTO note USING (VALUES (1)) AS v (n) ON note.page = v.n WHEN MATCHED THEN UPDATE SET words = 'other'",
        "MERGE INTO note USING (VALUES (1)) AS v (n) ON note.page = v.n WHEN MATCHED THEN DELETE",
    ],
)
@pytest.mark.parametrize(
    "disguise", ["SET LOCAL session_replication_role = origin", "SET LOCAL session_replication_role = replica"]
)
def test_the_owner_and_superuser_cannot_change_a_row(note: Connection, attack: str, disguise: str) -> None:
    note.execute(text(disguise))

    with pytest.raises(IntegrityError, match="of note refused: its rows are evidence") as refused:
        note.execute(text(attack))

    assert isinstance(refused.value.orig, psycopg.errors.RestrictViolation)
    assert refused.value.orig.diag.table_name == "note"
    assert "reversal" in (refused.value.orig.diag.message_hint or "")


def test_the_digest_is_sha256_of_the_row_as_postgresql_writes_it(note: Connection) -> None:
    recorded_at, digest = note.execute(
        text("SELECT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), row_digest FROM note")
    ).one()

    text_form = (
        'v1("a, b",1,"ends in ),","2026-01-31 15:59:59.5+00",2026-02-01,100,"\\\\x00ff",'
        '"{""a"": null, ""b"": 1}","1 day 02:00:00","' + recorded_at.rstrip("0").rstrip(".") + '+00"'
    )
    assert hashlib.sha256(text_form.encode()).digest() == bytes(digest)


def test_whoever_writes_cannot_choose_the_time_or_the_digest(note: Connection) -> None:
    fresh, own_digest = note.execute(
        text("SELECT recorded_at > clock_timestamp() - interval '1 hour', row_digest <> '\\x00' FROM note")
    ).one()

    assert fresh
    assert own_digest


def test_the_digest_does_not_depend_on_the_session(note: Connection) -> None:
    for setting in (
        "SET timezone = 'Asia/Shanghai'", "SET datestyle = 'German'", "SET bytea_output = 'escape'",
        "SET intervalstyle = 'iso_8601'",
    ):  # fmt: skip
        note.execute(text(setting))
    note.execute(
        text(
            "INSERT INTO note (book, page, at, raw, length, on_day) VALUES ('c', 2, '02.01.2026 10:00', '\\x01', 'P1D', '03.01.2026')"
        )
    )
    note.commit()

    assert rows_with_wrong_digest(note) == []
    note.rollback()
    note.execute(text("RESET ALL"))
    assert rows_with_wrong_digest(note) == []


@pytest.mark.parametrize(
    "change",
    [
        "words = words || '!'", "words = NULL", "at = at + interval '1 microsecond'", "on_day = on_day + 1",
        "amount_minor_units = amount_minor_units + 1", "raw = '\\x01ff'", "facts = facts || '{\"b\": 2}'", "facts = facts - 'a'",
        "length = interval '26:00'", "recorded_at = recorded_at - interval '1 day'", "page = 2",
        "row_digest = sha256('guess')",
    ],
)  # fmt: skip
def test_a_change_behind_the_triggers_is_named_with_its_key(note: Connection, change: str) -> None:
    note.execute(text("INSERT INTO note (book, page) VALUES ('untouched', 1)"))
    assert rows_with_wrong_digest(note) == []
    note.execute(text("ALTER TABLE note DISABLE TRIGGER note_refuse_change"))

    note.execute(text(f"UPDATE note SET {change} WHERE book = 'a, b'"))

    page = 2 if change == "page = 2" else 1
    assert rows_with_wrong_digest(note) == [WrongRow("note", f"book=a, b, page={page}", "its content is not what was recorded")]


def test_a_column_added_later_leaves_old_digests_valid_and_guards_new_rows(note: Connection) -> None:
    note.execute(text("ALTER TABLE note ADD COLUMN channel text"))
    note.execute(text("INSERT INTO note (book, page, channel) VALUES ('new', 1, 'wechat')"))

    assert rows_with_wrong_digest(note) == []

    note.execute(text("ALTER TABLE note DISABLE TRIGGER note_refuse_change"))
    note.execute(text("UPDATE note SET channel = NULL WHERE book = 'new'"))
    note.execute(text("UPDATE note SET channel = 'alipay' WHERE book = 'a, b'"))
    assert [row.key for row in rows_with_wrong_digest(note)] == ["book=a, b, page=1", "book=new, page=1"]


def test_many_changed_rows_are_counted_beyond_those_named(note: Connection) -> None:
    note.execute(text("INSERT INTO note (book, page) SELECT 'many', n FROM generate_series(1, 150) AS n"))
    note.execute(text("ALTER TABLE note DISABLE TRIGGER note_refuse_change"))
    note.execute(text("UPDATE note SET words = 'x' WHERE book = 'many'"))

    found = rows_with_wrong_digest(note)

    assert len(found) == 101
    assert found[-1].key == "50 more rows"


@pytest.mark.parametrize(
    ("weakening", "said"),
    [
        ("DROP TRIGGER note_refuse_change ON note", "note does not refuse UPDATE and DELETE"),
        ("DROP TRIGGER note_refuse_truncate ON note", "note does not refuse TRUNCATE"),
        ("DROP TRIGGER note_stamp_digest ON note", "note does not stamp digests"),
        ("ALTER TABLE note DISABLE TRIGGER note_refuse_change", "note does not refuse UPDATE and DELETE"),
        ("ALTER TABLE note ENABLE TRIGGER note_refuse_truncate", "note does not refuse TRUNCATE"),
        ("ALTER TABLE note DISABLE TRIGGER ALL", "note does not stamp digests"),
    ],
)
def test_a_missing_or_disabled_trigger_is_named(note: Connection, weakening: str, said: str) -> None:
    assert unprotected_tables(note) == []

    note.execute(text(weakening))

    assert said in unprotected_tables(note)


def test_a_partition_must_refuse_truncate_itself(on_foundation: Connection) -> None:
    on_foundation.execute(text(CREATE_NOTE + " PARTITION BY RANGE (page)"))
    on_foundation.execute(text("CREATE TABLE note_1 PARTITION OF note FOR VALUES FROM (1) TO (100)"))
    for statement in append_only_ddl("note"):
        on_foundation.execute(text(statement))

    assert unprotected_tables(on_foundation) == ["note_1 does not refuse TRUNCATE"]


def test_a_table_that_must_be_protected_and_is_missing_is_named(on_foundation: Connection) -> None:
    assert unprotected_tables(on_foundation, ["audit_event", "nothing"]) == ["nothing does not exist"]


def test_the_protection_can_be_taken_off_for_a_downgrade(note: Connection) -> None:
    for statement in drop_append_only_ddl("note"):
        note.execute(text(statement))

    assert note.execute(text("DELETE FROM note")).rowcount == 1


def test_a_table_that_may_change_must_say_why() -> None:
    with pytest.raises(ValueError, match="must say why"):
        projection(" ")


def _event(connection: Connection, action: str = "approved", **changed: object) -> None:
    given: dict[str, object] = {
        "now": NOW, "actor": "wang", "role": "approver", "act": f"cli:refund:{action}", "object_kind": "refund",
        "object_id": "R-1", "details": {"amount_minor_units": 100},
    }  # fmt: skip
    audit.record(connection, **(given | changed))  # type: ignore[arg-type]


def test_audit_events_follow_each_other(on_foundation: Connection) -> None:
    for action in ("prepared", "approved", "sent"):
        _event(on_foundation, action)
    on_foundation.commit()

    rows = on_foundation.execute(text("SELECT seq, act, previous_digest, row_digest FROM audit_event ORDER BY seq")).all()
    assert [row.seq for row in rows] == [1, 2, 3]
    assert bytes(rows[0].previous_digest) == bytes(32)
    assert [row.previous_digest for row in rows[1:]] == [row.row_digest for row in rows[:2]]
    assert audit.verify_chain(on_foundation) == []


def test_an_event_taken_out_of_the_middle_or_front_shows(on_foundation: Connection) -> None:
    for _ in range(5):
        _event(on_foundation)
    on_foundation.execute(text("ALTER TABLE audit_event DISABLE TRIGGER audit_event_refuse_change"))

    on_foundation.execute(text("DELETE FROM audit_event WHERE seq IN (1, 3)"))

    assert [(row.key, row.what) for row in audit.verify_chain(on_foundation)] == [
        ("seq=2", "event 1 before it removed"),
        ("seq=4", "event 3 before it removed"),
    ]


def test_an_event_rewritten_with_a_fitting_digest_breaks_the_chain_behind_it(on_foundation: Connection) -> None:
    for _ in range(3):
        _event(on_foundation)
    on_foundation.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
    on_foundation.execute(text("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM audit_event WHERE seq = 2"))
    on_foundation.execute(text("DELETE FROM audit_event WHERE seq = 2"))
    on_foundation.execute(text("ALTER TABLE audit_event ENABLE TRIGGER audit_event_stamp_digest"))
    on_foundation.execute(text("UPDATE kept SET actor = 'li'"))
    on_foundation.execute(text("INSERT INTO audit_event SELECT * FROM kept"))

    assert rows_with_wrong_digest(on_foundation) == []
    assert [row.key for row in audit.verify_chain(on_foundation)] == ["seq=3"]


def test_two_transactions_writing_events_at_once_make_one_chain(foundation: Engine) -> None:
    import threading

    def write(actor: str) -> None:
        with foundation.connect() as connection:
            for _ in range(25):
                _event(connection, actor=actor)
                connection.commit()

    writers = [threading.Thread(target=write, args=(actor,)) for actor in ("wang", "li", "zhao")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    with foundation.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM audit_event")) == 75
        assert audit.verify_chain(connection) == []


def test_an_event_falls_with_its_transaction(on_foundation: Connection) -> None:
    _event(on_foundation)
    on_foundation.rollback()

    assert on_foundation.scalar(text("SELECT count(*) FROM audit_event")) == 0


def test_an_act_has_a_source_a_subject_and_an_action(on_foundation: Connection) -> None:
    with pytest.raises(IntegrityError, match="act_has_three_parts"):
        _event(on_foundation, act="approved")


def test_details_hold_nothing_inexact(on_foundation: Connection) -> None:
    with pytest.raises(TypeError, match="float"):
        _event(on_foundation, details={"amounts": [1, {"fee": 0.1}]})
    with pytest.raises(ValueError, match="zone"):
        _event(on_foundation, now=datetime(2026, 3, 2, 9, 30))
