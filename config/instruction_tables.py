"""The tables banks take payment instructions in: one file a table under ``instruction_tables/``, read strictly."""

from __future__ import annotations

from pathlib import Path

from bank_adapters.instruction_layout import AmountForm, DateForm, OrderColumn, OrderField, SummaryField, TableForm
from config.loading import CONFIG_FOLDER, Section, load_section

#: Without these a bank could not pay, or we could not tell what it paid.
_NEEDED = (OrderField.REFERENCE, OrderField.DEBIT_ACCOUNT, OrderField.AMOUNT, OrderField.BENEFICIARY_ACCOUNT)


def load_table_forms(folder: Path = CONFIG_FOLDER / "instruction_tables") -> dict[str, TableForm]:
    """Every table by its id. Raises ConfigRefused naming file and key."""
    found: dict[str, TableForm] = {}
    for path in sorted(folder.glob("*.yaml")):
        section = load_section(path)
        form = _form(section)
        section.finish()
        if form.id in found:
            raise section.refuse("id", f"another file already holds a table called {form.id!r}")
        found[form.id] = form
    return found


def _form(section: Section) -> TableForm:
    columns = []
    for each in section.sections("columns"):
        columns.append(OrderColumn(each.text("name"), OrderField(each.choice("field", tuple(OrderField)))))
        each.finish()
    missing = [field for field in _NEEDED if field not in {column.field for column in columns}]
    if missing:
        raise section.refuse("columns", f"no column holds {', '.join(missing)}")
    delimiter, encoding = section.text("delimiter", ","), section.text("encoding", "utf-8")
    if len(delimiter) != 1:
        raise section.refuse("delimiter", f"{delimiter!r} is not one character")
    try:
        "".encode(encoding)
    except LookupError:
        raise section.refuse("encoding", f"{encoding!r} is not an encoding such as gb18030") from None
    summary = section.texts("summary") if "summary" in section else ()
    for word in summary:
        if word not in tuple(SummaryField):
            raise section.refuse("summary", f"{word!r} is not one of {', '.join(SummaryField)}")
    return TableForm(
        id=section.text("id"),
        columns=tuple(columns),
        encoding=encoding,
        delimiter=delimiter,
        ending=section.text("ending", "csv"),
        header=section.truth("header", default=True),
        amounts=AmountForm(section.choice("amounts", tuple(AmountForm), AmountForm.YUAN)),
        dates=DateForm(section.choice("dates", tuple(DateForm), DateForm.DASHED)),
        summary=tuple(SummaryField(word) for word in summary),
    )
