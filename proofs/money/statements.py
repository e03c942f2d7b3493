"""SQL by which somebody with the application's passwords would make, move or hide money; put together from constants.

`{own}`, `{other}`: two tenants; `{…_entry}`, `{…_transaction}`, `{…_account}` (a member's, payable), `{…_sales}` (the
merchant's), `{…_commission}`: a row of theirs, by its id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Of each table what would be worth changing, and to what. Where a commission stands is the application's to change.
COLUMNS = {
    "ledger_entries": {
        "amount_minor": "100",
        "account_id": "'{own_account}'",
        "transaction_id": "'{own_transaction}'",
        "currency": "'USD'",
        "merchant_id": "'{other}'",
    },
    "ledger_transactions": {
        "kind": "'gift'",
        "reference": "'again'",
        "occurred_at": "now()",
        "merchant_id": "'{other}'",
    },
    "ledger_accounts": {
        "balance_minor": "1000000",
        "kind": "'member_payable'",
        "member_id": "gen_random_uuid()",
        "currency": "'USD'",
        "merchant_id": "'{other}'",
    },
    "commissions": {
        "amount_minor": "100",
        "member_id": "gen_random_uuid()",
        "beneficiary_id": "gen_random_uuid()",
        "level": "1",
        "base_minor": "1",
        "merchant_id": "'{other}'",
        "reverses_id": "NULL",
    },
}
OWNER, ROLES = "invitree_owner", ("invitree_app", "invitree_system")


@dataclass(frozen=True, slots=True)
class Attempt:
    """`tenant`: whose transaction it is, `own`, `other` or none at all. The statements run in one transaction."""

    kind: str
    statements: tuple[str, ...]
    tenant: str = "own"


def attempts() -> Iterator[Attempt]:
    """For one role; both get all of them."""
    yield from changes()
    yield from removals()
    yield from definitions()
    yield from powers()
    yield from functions()
    yield from insertions()
    yield from strangers()


def _ways(verb: str, table: str, rest: str) -> Iterator[tuple[str, ...]]:
    """One change said in many ways."""
    plain = f"{verb} {table} {rest}"
    yield (plain,)
    yield (f"WITH gone AS ({plain} RETURNING 1) SELECT count(*) FROM gone",)
    yield (f"DO $$ BEGIN EXECUTE $q${plain}$q$; END $$",)
    yield (f"PREPARE harm AS {plain}", "EXECUTE harm")
    yield (f"CREATE FUNCTION pg_temp.harm() RETURNS void LANGUAGE sql AS $q${plain}$q$", "SELECT pg_temp.harm()")
    yield ("SET LOCAL row_security = off", plain)
    # A view acts by the rights of whoever made it.
    view = plain.replace(table, "seen", 1)
    yield (f"CREATE TEMPORARY VIEW seen AS SELECT * FROM {table}", view)


def changes() -> Iterator[Attempt]:
    for table, columns in COLUMNS.items():
        for column, value in columns.items():
            mine = f"SET {column} = {value} WHERE merchant_id = '{{own}}'"
            for way in _ways("UPDATE", table, mine):
                yield Attempt("update", way)
            cursor = f"DECLARE c CURSOR FOR SELECT * FROM {table} WHERE merchant_id = '{{own}}' FOR UPDATE"
            yield Attempt("update", (cursor, "FETCH c", f"UPDATE {table} SET {column} = {value} WHERE CURRENT OF c"))
            merge = f"MERGE INTO {table} t USING (SELECT '{{own}}'::uuid AS m) s ON t.merchant_id = s.m"
            yield Attempt("merge", (f"{merge} WHEN MATCHED THEN UPDATE SET {column} = {value}",))
        first = next(iter(columns))
        for other in (first, list(columns)[-1]):
            copied = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {table} WHERE merchant_id = '{{own}}'"
            if table == "ledger_accounts":  # it has a generated column
                names = "merchant_id, id, kind, member_id, order_id, currency, balance_minor"
                copied = f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} WHERE merchant_id = '{{own}}'"
            yield Attempt(
                "upsert", (f"{copied} ON CONFLICT ON CONSTRAINT pk_{table} DO UPDATE SET {other} = {columns[other]}",)
            )


def removals() -> Iterator[Attempt]:
    for table in COLUMNS:
        for way in _ways("DELETE FROM", table, "WHERE merchant_id = '{own}'"):
            yield Attempt("delete", way)
        for more in ("", " CASCADE", " RESTART IDENTITY CASCADE"):
            yield Attempt("truncate", (f"TRUNCATE {table}{more}",))
        yield Attempt("truncate", (f"DO $$ BEGIN TRUNCATE {table} CASCADE; END $$",))
        merge = f"MERGE INTO {table} t USING (SELECT '{{own}}'::uuid AS m) s ON t.merchant_id = s.m"
        yield Attempt("merge", (f"{merge} WHEN MATCHED THEN DELETE",))
        yield Attempt("lock", (f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",))


def definitions() -> Iterator[Attempt]:
    for table in COLUMNS:
        for what in (
            *(
                "DISABLE TRIGGER ALL",
                "DISABLE TRIGGER USER",
                "ENABLE REPLICA TRIGGER ledger_entries_added",
                "DISABLE ROW LEVEL SECURITY",
            ),
            *("OWNER TO CURRENT_USER", "ADD COLUMN mine int", "DROP COLUMN merchant_id CASCADE", "SET SCHEMA pg_temp"),
            *(f"DROP CONSTRAINT pk_{table} CASCADE", "RENAME TO mine", "ALTER COLUMN merchant_id DROP NOT NULL"),
            "SET UNLOGGED",
        ):
            yield Attempt("alter", (f"ALTER TABLE {table} {what}",))
        for what in (
            f"DROP TABLE {table} CASCADE",
            f"CREATE RULE mine AS ON INSERT TO {table} DO INSTEAD NOTHING",
            f"CREATE POLICY mine ON {table} USING (true)",
            f"DROP POLICY tenant ON {table}",
            f"ALTER POLICY tenant ON {table} USING (true)",
            f"CREATE INDEX mine ON {table} (merchant_id)",
            f"CREATE TABLE mine (LIKE {table})",
            f"CREATE TEMPORARY TABLE mine () INHERITS ({table})",
            (
                f"CREATE TRIGGER mine BEFORE INSERT ON {table} FOR EACH ROW"
                " EXECUTE FUNCTION suppress_redundant_updates_trigger()"
            ),
            f"GRANT ALL ON {table} TO PUBLIC; UPDATE {table} SET merchant_id = '{{own}}'",
            f"CREATE PUBLICATION mine FOR TABLE {table}",
        ):
            yield Attempt("define", tuple(what.split("; ")))
    yield Attempt("define", ("DROP TRIGGER ledger_entries_added ON ledger_entries",))
    yield Attempt("define", ("ALTER TRIGGER ledger_entries_added ON ledger_entries RENAME TO mine",))
    yield Attempt("define", ("CREATE SCHEMA mine",))


def powers() -> Iterator[Attempt]:
    harm = "UPDATE ledger_accounts SET balance_minor = 1000000"
    for role in (OWNER, "postgres", *ROLES):
        for become in (f"SET ROLE {role}", f"SET LOCAL ROLE {role}", f"SET SESSION AUTHORIZATION {role}"):
            yield Attempt("become", (become, harm))
        yield Attempt("become", (f"SELECT set_config('role', '{role}', false)", harm))
        yield Attempt("grant", (f"GRANT {OWNER} TO {role}",))
        for flag in ("SUPERUSER", "BYPASSRLS", "CREATEROLE", "REPLICATION"):
            yield Attempt("grant", (f"ALTER ROLE {role} {flag}",))
    for mode in ("replica", "local"):
        for setting in (
            f"SET session_replication_role = {mode}",
            f"SET LOCAL session_replication_role = {mode}",
            f"SELECT set_config('session_replication_role', '{mode}', true)",
            f"ALTER ROLE CURRENT_USER SET session_replication_role = {mode}",
            f"ALTER DATABASE invitree SET session_replication_role = {mode}",
        ):
            yield Attempt("replica", (setting, _unbalanced("'{own_account}'", "100")))
    for reach in (
        "COPY ledger_entries TO PROGRAM 'cat'",
        "COPY ledger_entries FROM PROGRAM 'true'",
        "COPY ledger_accounts TO '/tmp/accounts'",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT lo_import('/etc/hostname')",
        "LOAD '/tmp/mine.so'",
        "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION mine()",
        "CREATE ROLE mine",
        "REASSIGN OWNED BY invitree_owner TO CURRENT_USER",
        "DROP OWNED BY invitree_owner",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
        "UPDATE pg_trigger SET tgenabled = 'D' WHERE tgname LIKE 'ledger%'",
        "UPDATE pg_class SET relrowsecurity = false WHERE relname LIKE 'ledger%'",
        "DELETE FROM pg_policy",
        "INSERT INTO pg_auth_members SELECT * FROM pg_auth_members",
        "SELECT * FROM pg_authid",
        "ALTER DEFAULT PRIVILEGES FOR ROLE invitree_owner GRANT ALL ON TABLES TO PUBLIC",
    ):
        yield Attempt("reach", (reach,))


def functions() -> Iterator[Attempt]:
    same = "RETURNS trigger LANGUAGE plpgsql AS $q$ BEGIN RETURN NULL; END $q$"
    for name in ("ledger_entries_added()", "ledger_accounts_open_empty()"):
        for what in (
            f"SELECT {name}",
            f"DO $$ BEGIN PERFORM {name}; END $$",
            f"CREATE OR REPLACE FUNCTION {name} {same}",
            f"DROP FUNCTION {name} CASCADE",
            f"ALTER FUNCTION {name} SECURITY INVOKER",
            f"ALTER FUNCTION {name} RESET ALL",
            f"ALTER FUNCTION {name} SET search_path = pg_temp",
            f"ALTER FUNCTION {name} OWNER TO CURRENT_USER",
            f"GRANT EXECUTE ON FUNCTION {name} TO PUBLIC",
        ):
            yield Attempt("function", (what,))
        # The owner's function on a table of one's own would move the balances of whatever stands in it.
        for table in ("ledger_accounts", "ledger_entries", "mine"):
            yield Attempt(
                "borrowed trigger",
                (
                    (
                        f"CREATE TEMPORARY TABLE {table} (merchant_id uuid, transaction_id uuid, account_id uuid,"
                        " amount_minor bigint, currency char(3), balance_minor bigint)"
                    ),
                    (
                        f"CREATE TRIGGER t AFTER INSERT ON {table} REFERENCING NEW TABLE AS added"
                        f" FOR EACH STATEMENT EXECUTE FUNCTION {name}"
                    ),
                    f"INSERT INTO {table} VALUES ('{{own}}', NULL, '{{own_account}}', 100, 'CNY', 0)",
                ),
            )
    yield Attempt("function", (f"CREATE FUNCTION public.harm() {same}",))
    for shadow in (
        "CREATE TEMPORARY TABLE ledger_accounts (merchant_id uuid, id uuid, balance_minor bigint, currency char(3))",
        "CREATE TEMPORARY TABLE added (merchant_id uuid, transaction_id uuid, currency char(3), amount_minor bigint)",
        "CREATE FUNCTION pg_temp.sum(bigint) RETURNS numeric LANGUAGE sql AS 'SELECT 0::numeric'",
        "CREATE FUNCTION pg_temp.differ(numeric, integer) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE TEMPORARY VIEW ledger_accounts AS SELECT * FROM public.ledger_accounts",
        "CREATE DOMAIN pg_temp.bigint AS text",
    ):
        for path in ("pg_temp, public, pg_catalog", "pg_temp, pg_catalog, public", "public, pg_temp"):
            for amount in ("100", "-100"):
                wrong = _unbalanced("'{own_account}'", amount)
                yield Attempt("search path", (shadow, f"SET search_path = {path}", wrong))


def _legs(
    *legs: tuple[str, str], currency: str = "CNY", transaction: str = "'{own_transaction}'", merchant: str = "'{own}'"
) -> str:
    rows = ", ".join(f"({merchant}, {transaction}, {account}, {amount}, '{currency}')" for account, amount in legs)
    names = "merchant_id, transaction_id, account_id, amount_minor, currency"
    return f"INSERT INTO public.ledger_entries ({names}) VALUES {rows}"


def _unbalanced(account: str, amount: str) -> str:
    return _legs((account, amount))


MOST = str(2**63 - 1)
LEAST = f"(-{2**63 - 1} - 1)"
AMOUNTS = ("1", "-1", "100", "-100", "5900", MOST, f"-{MOST}", LEAST)


def insertions() -> Iterator[Attempt]:
    """Money from nowhere: one leg, legs that do not add up, sums that only add up in a machine word."""
    payable, sales = "'{own_account}'", "'{own_sales}'"
    for amount in AMOUNTS:
        for account in (payable, sales):
            yield Attempt("one leg", (_legs((account, amount)),))
            yield Attempt("one leg", (f"DO $$ BEGIN {_legs((account, amount))}; END $$",))
            yield Attempt("one leg", ("SET CONSTRAINTS ALL DEFERRED", _legs((account, amount))))
        yield Attempt("two statements", (_legs((payable, amount)), _legs((sales, f"-({amount})::numeric"))))
        yield Attempt(
            "fresh transaction",
            (*_fresh("gen_random_uuid()"), _legs((payable, amount), transaction="(SELECT id FROM fresh)")),
        )
    wrong = (
        ("1", "-2"),
        ("100", "100"),
        ("5900", "-5899"),
        (MOST, "1"),
        (MOST, MOST, "2"),
        (LEAST, LEAST),
        (LEAST, MOST),
    )
    for amounts_ in wrong:
        legs = [(payable if place % 2 else sales, amount) for place, amount in enumerate(amounts_)]
        yield Attempt("unbalanced", (_legs(*legs),))
        yield Attempt("unbalanced", (_legs(*reversed(legs)),))
        halves = [_legs(leg) for leg in legs]
        with_ = ", ".join(f"h{place} AS ({half} RETURNING 1)" for place, half in enumerate(halves))
        yield Attempt("unbalanced", (f"WITH {with_} SELECT 1",))
    # Balanced, and more than an account can hold.
    for times in (1, 2, 3):
        yield Attempt("overflow", (_legs(*[(payable, MOST), (sales, f"-{MOST}")] * times),) * 2)
    for currency in ("USD", "usd", "XXX", "   "):
        yield Attempt("currency", (_legs((payable, "100"), (sales, "-100"), currency=currency),))
        mixed = _legs((payable, "100")) + f", ('{{own}}', '{{own_transaction}}', {sales}, -100, '{currency}')"
        yield Attempt("currency", (mixed,))
    yield Attempt("zero", (_legs((payable, "0"), (sales, "0")),))
    yield Attempt("nothing", (_legs((payable, "NULL"), (sales, "NULL")),))
    for kind, owner, balance in (
        ("member_payable", "gen_random_uuid()", "100"),
        ("member_paid", "gen_random_uuid()", "-1"),
        ("member_payable", "NULL", "0"),
        ("member_payable", "gen_random_uuid()", "NULL"),
        ("merchant_sales", "gen_random_uuid()", "0"),
        ("merchant_sales", "NULL", "100"),
        ("order_clearing", "NULL", "0"),
        ("mine", "NULL", "NULL"),
    ):
        names = "merchant_id, id, kind, member_id, currency, balance_minor"
        for currency in ("CNY", "USD"):
            values = f"'{{own}}', gen_random_uuid(), '{kind}', {owner}, '{currency}', {balance}"
            yield Attempt("account", (f"INSERT INTO ledger_accounts ({names}) VALUES ({values})",))


def _fresh(id_: str) -> tuple[str, ...]:
    return (
        f"CREATE TEMPORARY TABLE fresh AS SELECT {id_} AS id",
        (
            "INSERT INTO ledger_transactions (merchant_id, id, kind, reference, occurred_at)"
            " SELECT '{own}', id, 'gift', id::text, now() FROM fresh"
        ),
    )


def strangers() -> Iterator[Attempt]:
    """Another tenant's rows, named by their ids, in one's own transaction and in none."""
    mine, theirs = "'{own_account}'", "'{other_account}'"
    for tenant in ("own", "none"):
        for merchant in ("'{own}'", "'{other}'"):
            for transaction in ("'{own_transaction}'", "'{other_transaction}'"):
                for one, other in (
                    (mine, theirs),
                    (theirs, mine),
                    (theirs, "'{own_sales}'"),
                    (mine, "'{other_sales}'"),
                ):
                    legs = _legs((one, "100"), (other, "-100"), transaction=transaction, merchant=merchant)
                    yield Attempt("stranger", (legs,), tenant)
        for table in COLUMNS:
            for verb in (f"UPDATE {table} SET merchant_id = '{{own}}'", f"DELETE FROM {table}"):
                yield Attempt("stranger", (f"{verb} WHERE merchant_id = '{{other}}'",), tenant)
        yield Attempt(
            "stranger",
            (
                (
                    "INSERT INTO commissions SELECT (json_populate_record(c, json_build_object('id',"
                    " gen_random_uuid(), 'merchant_id', '{own}', 'amount_minor', 100))).*"
                    " FROM commissions c WHERE id = '{other_commission}'"
                ),
            ),
            tenant,
        )
