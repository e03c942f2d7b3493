"""Statements as JSON or CSV: `?format=csv`, or a client that accepts `text/csv`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response

from app.api.deps import PageDep, Tenant
from app.db.pages import PageQuery
from app.kit import spreadsheets
from app.ledger.statement import Statement, StatementLine
from app.ledger.views import CSV_COLUMNS, edge_rows, edges_view, statement_rows

CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page of a statement, and in which form; `next_url` of the page after it, but for its cursor."""

    query: PageQuery
    is_csv: bool
    request: Request

    def answer(
        self, tenant: Tenant, found: Statement, view: Callable[[StatementLine], dict[str, Any]]
    ) -> Response | dict[str, Any]:
        if not self.is_csv:
            return {**tenant.show_page(found.page, view), "accounts": edges_view(found.edges)}
        first = [] if self.query.cursor else edge_rows(found.edges, "closing_balance")
        content = spreadsheets.to_csv(CSV_COLUMNS, [*first, *statement_rows(found)])
        return Response(content, media_type="text/csv; charset=utf-8", headers=self._headers(found))

    def _headers(self, found: Statement) -> dict[str, str]:
        following = found.page.next_cursor
        if following is None:
            return {"Vary": "Accept"}
        url = self.request.url.include_query_params(cursor=following)
        return {"Vary": "Accept", "Link": f'<{url.path}?{url.query}>; rel="next"'}


def get_wanted(
    request: Request,
    page: PageDep,
    format_: Annotated[Literal["json", "csv"] | None, Query(alias="format", description="Before `Accept`.")] = None,
) -> Wanted:
    accepts = request.headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower()
    return Wanted(page, (format_ or ("csv" if accepts == "text/csv" else "json")) == "csv", request)


StatementDep = Annotated[Wanted, Depends(get_wanted)]
