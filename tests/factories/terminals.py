"""A merchant with money to pay out, and a terminal at which its people do so."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app import cli
from app.resources import Resources
from tests.factories.payables import make_payable, make_user


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant with 17.70 and 5.00 payable, 0.99 below the minimum, and its people."""

    merchant_id: str
    maker: str
    checker: str


async def furnish(resources: Resources, merchant_id: str) -> Shop:
    async with resources.db.tenant(merchant_id) as session:
        for amount in (1_770, 500, 99):
            await make_payable(session, merchant_id, amount)
        maker, checker = await make_user(session, merchant_id, "operator"), await make_user(session, merchant_id)
    return Shop(merchant_id, maker, checker)


class Terminal:
    """Runs the commands of one merchant as its shell would, and reads what they printed."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.shop, self.monkeypatch, self.capsys = shop, monkeypatch, capsys

    def run(self, *words: str) -> tuple[int, str, str]:
        argv = ["invitree", "payouts", *words, "--merchant", self.shop.merchant_id]
        self.monkeypatch.setattr(sys, "argv", argv)
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        printed = self.capsys.readouterr()
        return code, printed.out, printed.err

    def read(self, *words: str) -> dict[str, Any]:
        code, out, err = self.run(*words, "--json")
        assert code == 0, err
        found: dict[str, Any] = msgspec.json.decode(out)
        return found

    def build(self) -> str:
        found = self.read("build", "--as", self.shop.maker, "--execute")
        return str(found["batch"]["id"])

    def exported(self, out: Path) -> str:
        batch = self.build()
        acts = ["--batch", batch, "--as", self.shop.checker, "--execute"]
        self.read("approve", *acts)
        self.read("export", *acts, "--out", str(out))
        return batch
