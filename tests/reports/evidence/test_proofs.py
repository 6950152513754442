"""A family's, a bank's and an auditor's small proofs: right ones verify, and no byte of them can be another."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from reports.evidence.verify import Broken, Key, canonical_json, verify_file
from storage.embedded import embedded_server
from tests.reports.evidence.conftest import Told


@pytest.fixture(scope="module")
def proofs(told: Told, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("proofs")
    with embedded_server(told.data) as server:
        engine = create_engine(server.url("demo"))
        with engine.connect() as conn:
            order = conn.scalar(
                text("SELECT subject FROM account a JOIN account_balance b USING (institution_id, account_id) "
                     "WHERE a.kind = 'prepayment_held' AND b.balance_minor_units < 0 ORDER BY subject LIMIT 1")
            )  # fmt: skip
            transfer = conn.scalar(text("SELECT transfer_id FROM transfer WHERE batch_id = 2 ORDER BY line LIMIT 1"))
        engine.dispose()
    made = {
        "balance": ("balance-proof", "--order", order),
        "transfer": ("transfer-proof", str(transfer)),
        "consistency": ("consistency-proof", "1", "3"),
    }
    for name, arguments in made.items():
        done = told.escrow("evidence", *arguments, "--out", str(folder / f"{name}.json"))
        assert done.returncode == 0, done.stderr
    return {name: folder / f"{name}.json" for name in made}


@pytest.mark.parametrize("name", ["balance", "transfer", "consistency"])
def test_a_proof_verifies_with_the_logs_key(told: Told, proofs: dict[str, Path], name: str) -> None:
    ended = told.escrow("evidence", "verify", str(proofs[name]), "--key", told.log_key, "--json")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["log"] == told.keys.key.name


@pytest.mark.parametrize("name", ["balance", "transfer", "consistency"])
def test_no_single_byte_of_a_proof_can_change(told: Told, proofs: dict[str, Path], tmp_path: Path, name: str) -> None:
    whole, draw = proofs[name].read_bytes(), random.Random(9)
    for position in sorted({draw.randrange(len(whole)) for _ in range(120)}):
        content = bytearray(whole)
        content[position] ^= 1 << draw.randrange(8)
        (tmp_path / "c.json").write_bytes(content)
        with pytest.raises(Broken):
            verify_file(str(tmp_path / "c.json"), [Key(told.log_key)])


def test_a_balance_proof_tells_of_no_other_order(told: Told, proofs: dict[str, Path]) -> None:
    proof = json.loads(proofs["balance"].read_text())

    with embedded_server(told.data) as server:
        engine = create_engine(server.url("demo"))
        with engine.connect() as conn:
            orders = set(conn.execute(text("SELECT order_id FROM orders")).scalars())
        engine.dispose()
    assert {one for one in orders if one in proofs["balance"].read_text()} == {proof["subject"]}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("amount_minor_units", lambda v: v + 1),
        ("subject", lambda v: v + "0"),
        ("siblings", lambda v: v[:-1]),
        ("siblings", lambda v: [*v, v[0]]),
        ("siblings", lambda v: [[v[0][0], v[0][1] - 1], *v[1:]]),
        ("siblings", lambda v: [[v[0][0], -1], *v[1:]]),
        ("siblings", lambda v: [[v[0][0], 2**63], *v[1:]]),
        ("siblings", lambda v: [[v[0][0][:62], v[0][1]], *v[1:]]),
        ("index", lambda v: v + 1),
        ("index", lambda _: -1),
        ("nonce", lambda v: v[:30]),
        ("nonce", lambda _: "0" * 32),
        ("currency", lambda _: "USD"),
    ],
)
def test_another_balance_is_not_proved(told: Told, proofs: dict[str, Path], tmp_path: Path, field: str, change: object) -> None:
    proof = json.loads(proofs["balance"].read_text())
    proof[field] = change(proof[field])  # type: ignore[operator]
    (tmp_path / "c.json").write_text(canonical_json(proof))

    with pytest.raises(Broken):
        verify_file(str(tmp_path / "c.json"), [Key(told.log_key)])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("balance-proof", "--order", "nobody"), "order nobody is not in these books"),
        (("balance-proof", "--order", "nobody", "--as-of", "2020-01-01"), "there is no checkpoint of 2020-01-01 or before"),
        (("transfer-proof", "00000000-0000-0000-0000-000000000000"), "there is no transfer"),
        (("transfer-proof", "x"), "is not the id of a transfer"),
        (("consistency-proof", "3", "1"), "3 is after 1"),
        (("consistency-proof", "1", "99"), "there is no checkpoint 99"),
    ],
)
def test_what_cannot_be_proved_is_said(told: Told, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    ended = told.escrow("evidence", *arguments, "--out", str(tmp_path / "p.json"))

    assert ended.returncode in (1, 2)
    assert says in " ".join(ended.stderr.replace("│", " ").split())
    assert not (tmp_path / "p.json").exists()
