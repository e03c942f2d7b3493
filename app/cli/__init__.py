"""The command line. Exit codes: 0 done, 1 failed, 2 usage, 3 refused by a rule, 4 partly done."""

from __future__ import annotations

import sys

import typer
from pydantic import ValidationError

from app.cli import (
    api,
    commissions,
    doctor,
    income,
    ledger,
    merchants,
    migrate,
    payouts,
    posters,
    serve,
    shards,
    worker,
)
from app.cli.demo import command as demo
from app.cli.output import Exit, say
from app.db.roles import UnboundRoleError
from app.embedded import EmbeddedError, InUseError, ProductionError
from app.kit.errors import Conflict, Forbidden, InvitreeError, PaymentRequired, Unprocessable

REFUSALS = (Conflict, Forbidden, PaymentRequired, Unprocessable)

app = typer.Typer(
    name="invitree",
    help="Invitree: referral campaigns, membership days, commissions and payouts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("api")(api.api)
app.command("worker")(worker.worker)
app.command("migrate")(migrate.migrate)
app.command("demo")(demo.demo)
app.command("seed")(merchants.seed)
app.command("doctor")(doctor.doctor)
app.add_typer(commissions.app, name="commissions")
app.add_typer(shards.app, name="counters")
app.add_typer(income.app, name="income")
app.add_typer(ledger.app, name="ledger")
app.add_typer(merchants.app, name="merchants")
app.add_typer(payouts.app, name="payouts")
app.add_typer(posters.app, name="posters")


def main() -> None:
    try:
        app()
    except InvitreeError as error:
        say(f"{error.code}: {error.detail}")
        sys.exit(Exit.REFUSED if isinstance(error, REFUSALS) else Exit.FAILED)
    except UnboundRoleError as error:
        say(str(error))
        sys.exit(Exit.REFUSED)
    except EmbeddedError as error:
        say(str(error))
        sys.exit(Exit.REFUSED if isinstance(error, InUseError | ProductionError) else Exit.FAILED)
    except ValidationError as error:
        say("The settings do not fit:")
        for fault in error.errors(include_input=False, include_url=False):
            say(f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}")
        sys.exit(Exit.USAGE)
