"""A perfect answer scores perfectly; every single fault in it is counted as what it is, with its money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from simulation import District, Written
from simulation.key_reading import ScoringKey, read_key
from simulation.scoring import (
    STATEMENT_KINDS,
    Found,
    FoundBalance,
    FoundDiscrepancy,
    FoundFinding,
    FoundMatch,
    FoundPayment,
    score,
)

Made = Callable[..., tuple[District, Written]]


@pytest.fixture
def key(written: Made) -> ScoringKey:
    return read_key(written(1)[1].folder / "answer-key")


@pytest.fixture
def answer(key: ScoringKey) -> Found:
    """What a perfect engine would find."""
    return Found(
        matches=[
            FoundMatch(account, day, reference, each.amount, each.book_references)
            for (account, day, reference), each in key.matches.items()
            if each.readable
        ],
        discrepancies=[
            FoundDiscrepancy(
                each.kind,
                each.account_number,
                each.business_date,
                each.amount,
                each.difference,
                each.bank_members,
                each.book_members,
                (*each.references, *each.bank_references),
            )
            for each in key.defects
        ],
        releases=[FoundPayment(name, *each) for name, each in key.releases.items()],
        refunds=[FoundPayment(name, *each) for name, each in key.refunds.items()],
        disbursements=[FoundPayment(name, *each) for name, each in key.disbursements.items()],
        balances=[
            FoundBalance(account, day, each.opening, each.closing, each.covered) for (account, day), each in key.balances.items()
        ],
        findings=[FoundFinding(file, line, field) for (file, line), field in key.findings.items()],
    )


def test_a_perfect_answer_is_perfect(key: ScoringKey, answer: Found) -> None:
    result = score(key, answer)
    assert result.perfect, [each.details[:3] for each in result.tallies]
    assert result.discrepancies.right == len(key.defects)
    assert all(each.right == each.expected > 0 for each in result.tallies)


def test_nothing_found_is_all_missed(key: ScoringKey) -> None:
    result = score(key, Found([], [], [], [], [], [], []))
    assert not result.perfect
    assert result.discrepancies.missed == len(key.defects)
    assert result.discrepancies.money == sum(each.amount for each in key.defects)
    assert all(each.missed == each.expected > 0 for each in result.tallies if each.name != "traps left alone")


def test_a_line_matched_with_another_order_is_wrong_with_its_money(key: ScoringKey, answer: Found) -> None:
    first, second = (each for each in answer.matches[:2])
    swapped = [replace(first, book_references=second.book_references), *answer.matches[1:]]
    result = score(key, replace(answer, matches=swapped)).matches
    assert (result.wrong, result.missed, result.money) == (1, 0, first.amount)


def test_a_match_of_a_line_that_settles_nothing_is_wrong(key: ScoringKey, answer: Found) -> None:
    stray = next(each for each in key.defects if each.kind == "UNIDENTIFIED_RECEIPT")
    invented = FoundMatch(stray.account_number, stray.business_date, stray.bank_references[0], stray.amount, ("OD1",))
    result = score(key, replace(answer, matches=[*answer.matches, invented])).matches
    assert (result.wrong, result.money) == (1, stray.amount)


def test_a_match_left_out_is_missed_and_a_batch_short_of_one_order_is_wrong(key: ScoringKey, answer: Found) -> None:
    assert score(key, replace(answer, matches=answer.matches[1:])).matches.missed == 1
    position = next(number for number, each in enumerate(answer.matches) if len(each.book_references) > 1)
    short = list(answer.matches)
    short[position] = replace(short[position], book_references=short[position].book_references[1:])
    assert score(key, replace(answer, matches=short)).matches.wrong == 1


def test_another_name_for_a_defect_is_confusion_not_absence(key: ScoringKey, answer: Found) -> None:
    position = next(number for number, each in enumerate(answer.discrepancies) if each.kind == "AMOUNT_MISMATCH")
    named = list(answer.discrepancies)
    named[position] = replace(named[position], kind="MISSING_IN_LEDGER")
    result = score(key, replace(answer, discrepancies=named))
    assert result.confusion == {("AMOUNT_MISMATCH", "MISSING_IN_LEDGER"): 1}
    assert (result.discrepancies.wrong, result.discrepancies.missed, result.discrepancies.invented) == (1, 0, 0)
    assert result.by_kind["AMOUNT_MISMATCH"].wrong == 1


def test_an_invented_discrepancy_is_counted_and_one_about_a_trap_springs_it(key: ScoringKey, answer: Found) -> None:
    trap = key.traps[0]
    day = key.defects[-1].business_date
    invented = FoundDiscrepancy("MISSING_IN_BANK", trap.account_number, day, 9900, -9900, (), trap.references)
    result = score(key, replace(answer, discrepancies=[*answer.discrepancies, invented]))
    assert (result.discrepancies.invented, result.discrepancies.money) == (1, 9900)
    assert (result.traps.wrong, result.traps.right) == (1, len(key.traps) - 1)


def test_carried_items_and_consequences_are_no_inventions(key: ScoringKey, answer: Found) -> None:
    late = next(each for each in key.defects if each.kind == "LATE")
    dirty = next(spot for spot, each in key.balances.items() if not each.clean)
    clean = next(spot for spot, each in key.balances.items() if each.clean)
    more = [
        FoundDiscrepancy("TIMING", late.account_number, late.business_date, late.amount, 0, (), late.book_members),
        FoundDiscrepancy(
            "MISSING_IN_BANK", late.account_number, late.business_date, late.amount, -late.amount, (), late.book_members
        ),
        FoundDiscrepancy("COVERAGE_SHORTFALL", dirty[0], dirty[1], 1, -1, (), ()),
    ]
    result = score(key, replace(answer, discrepancies=[*answer.discrepancies, *more]))
    assert result.perfect
    assert (result.carried, result.consequences) == (1, 2)
    false_alarm = FoundDiscrepancy("COVERAGE_SHORTFALL", clean[0], clean[1], 1, -1, (), ())
    assert score(key, replace(answer, discrepancies=[*answer.discrepancies, false_alarm])).discrepancies.invented == 1


def test_an_undecidable_pair_called_anything_else_is_missed(key: ScoringKey, answer: Found) -> None:
    decided = [replace(each, kind="DUPLICATE_BANK") if each.kind == "AMBIGUOUS" else each for each in answer.discrepancies]
    result = score(key, replace(answer, discrepancies=decided))
    assert result.undecidable.missed == result.undecidable.expected > 0


def _alterations(one: FoundDiscrepancy) -> dict[str, FoundDiscrepancy]:
    """The discrepancy with exactly one thing about it said wrongly."""
    day = timedelta(days=1)
    altered = {
        "amount a fen more": replace(one, amount=one.amount + 1),
        "amount a fen less": replace(one, amount=one.amount - 1),
        "difference a fen off": replace(one, difference=one.difference + 1),
        "a day late": replace(one, business_date=one.business_date + day),
        "a day early": replace(one, business_date=one.business_date - day),
    }
    if one.difference:
        altered["sign of the difference"] = replace(one, difference=-one.difference)
    if one.kind not in STATEMENT_KINDS:
        altered["a line too many"] = replace(one, bank_members=(*one.bank_members, "BK1"))
        altered["an item too many"] = replace(one, book_members=(*one.book_members, "OD1"))
    if one.bank_members:
        altered["a line too few"] = replace(one, bank_members=one.bank_members[1:])
    if one.book_members:
        altered["an item too few"] = replace(one, book_members=one.book_members[1:])
    return altered


def test_any_single_figure_said_wrongly_is_a_fault_for_every_kind(key: ScoringKey, answer: Found) -> None:
    kinds: set[str] = set()
    for position, one in enumerate(answer.discrepancies):
        if one.kind in kinds:
            continue
        kinds.add(one.kind)
        for what, altered in _alterations(one).items():
            given = [*answer.discrepancies]
            given[position] = altered
            result = score(key, replace(answer, discrepancies=given))
            assert not result.perfect, (one.kind, what)
            assert (len(result.misstated), result.misnamed) == (1, ()), (one.kind, what)
            tally = result.discrepancies
            assert (tally.wrong, tally.missed, tally.invented, tally.right) == (1, 0, 0, tally.expected - 1), (one.kind, what)
            assert result.by_kind[one.kind].wrong == 1
    assert kinds == {each.kind for each in key.defects}


def test_a_discrepancy_at_another_account_is_missed_here_and_invented_there(key: ScoringKey, answer: Found) -> None:
    other = {each.account_number for each in key.defects}
    for position, one in enumerate(answer.discrepancies):
        if one.kind in STATEMENT_KINDS:  # those of neighbouring days may belong to each other
            continue
        given = [*answer.discrepancies]
        given[position] = replace(one, account_number=min(other - {one.account_number}))
        tally = score(key, replace(answer, discrepancies=given)).discrepancies
        assert (tally.missed, tally.wrong + tally.invented) == (1, 1), one


def test_a_defect_named_twice_is_once_right_and_once_invented(key: ScoringKey, answer: Found) -> None:
    for one in answer.discrepancies:
        tally = score(key, replace(answer, discrepancies=[*answer.discrepancies, one])).discrepancies
        assert (tally.right, tally.invented) == (tally.expected, 1), one


def test_a_consequence_of_another_amount_is_no_consequence(key: ScoringKey, answer: Found) -> None:
    late = next(each for each in key.defects if each.kind == "LATE")
    before = FoundDiscrepancy(
        "MISSING_IN_BANK", late.account_number, late.business_date, late.amount + 1, -late.amount - 1, (), late.book_members
    )
    assert score(key, replace(answer, discrepancies=[*answer.discrepancies, before])).discrepancies.invented == 1


def test_releases_are_compared_by_amount_day_and_number(key: ScoringKey, answer: Found) -> None:
    assert answer.releases is not None
    first, *rest = answer.releases
    cases = [
        ([replace(first, amount=first.amount + 1), *rest], "wrong", 1),
        (rest, "missed", first.amount),
        ([*answer.releases, first], "invented", first.amount),
        ([*answer.releases, replace(first, key="OD1#1")], "invented", first.amount),
    ]
    for given, what, money in cases:
        tally = next(each for each in score(key, replace(answer, releases=given)).others if each.name == "releases")
        assert (getattr(tally, what), tally.money) == (1, money)


def test_a_clean_day_without_proof_of_coverage_is_wrong(key: ScoringKey, answer: Found) -> None:
    assert answer.balances is not None
    given = list(answer.balances)
    position = next(number for number, each in enumerate(given) if key.is_clean(each.account_number, each.day))
    given[position] = replace(given[position], covered=False, closing=given[position].closing + 5)
    result = {each.name: each for each in score(key, replace(answer, balances=given)).others}
    assert result["coverage of clean days"].wrong == 1
    assert (result["balances"].wrong, result["balances"].money) == (1, 5)


def test_a_truly_short_day_called_covered_is_told(key: ScoringKey, answer: Found) -> None:
    assert answer.balances is not None
    position = next(number for number, each in enumerate(answer.balances) if not each.covered)
    given = [replace(each, covered=True) if number == position else each for number, each in enumerate(answer.balances)]
    result = score(key, replace(answer, balances=given))
    assert not result.perfect
    (tally,) = [each for each in result.others if each.name == "days short of money, told"]
    (told,) = tally.details
    assert answer.balances[position].account_number in told


def test_a_sound_row_refused_and_a_bad_row_taken_are_told_apart(key: ScoringKey, answer: Found) -> None:
    assert answer.findings is not None
    given = [
        *answer.findings[2:],
        replace(answer.findings[1], field="payer_token"),
        FoundFinding("orders/2026-03-02.csv", 999, None),
    ]
    tally = next(each for each in score(key, replace(answer, findings=given)).others if each.name == "rows refused")
    assert (tally.missed, tally.wrong, tally.invented) == (1, 1, 1)
