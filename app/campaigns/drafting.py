"""From what a merchant writes to what is kept: columns of the campaign, and its rules made complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain, count
from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from app.campaigns import terms
from app.campaigns.document import (
    AttributionRule,
    Binding,
    CommissionRule,
    RewardDraft,
    RewardRule,
    RuleDocument,
)
from app.kit.errors import FieldError, Unprocessable
from app.kit.money import MAX_MINOR

KINDS_AVAILABLE = frozenset({"distribution", "refer_a_friend"})
CURRENCIES = frozenset({"CNY"})
CAP_DAYS = 365
SERVICE_HOLD_DAYS = 15
MAX_LANDING = 64 * 1024  # every view of the page reads it
TWO_SIDED = (
    RewardDraft(on="phone_verified", to="inviter", days=30),
    RewardDraft(on="signup", to="invitee", days=30),
)
_SAME_NAME = (
    *("name", "kind", "starts_at", "ends_at", "budget_minor"),
    *("rules_text", "poster_template_ids", "poster_avatars"),
)
_TERMS = ("commission", "attribution", "new_members_only")


class Product(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    name: Annotated[str, Field(min_length=1, max_length=120)]
    price_minor: Annotated[int, Field(strict=True, ge=0, le=MAX_MINOR)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "CNY"
    stock: Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)] | None = None
    kind: Annotated[
        Literal["goods", "service"], Field(description="How long commission is held where `hold_days` is left out.")
    ] = "goods"


class Landing(BaseModel):
    """The texts of the campaign's pages; further fields are kept for pages of the merchant's own."""

    model_config = ConfigDict(extra="allow", frozen=True, str_strip_whitespace=True)

    headline: Annotated[str, Field(max_length=120)] | None = None
    subtitle: Annotated[str, Field(max_length=200)] | None = None
    button: Annotated[str, Field(max_length=40)] | None = None
    highlights: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=20)] | None = None
    description: Annotated[str, Field(max_length=10_000)] | None = None
    organiser: Annotated[str, Field(max_length=120)] | None = None

    @model_validator(mode="after")
    def _fits_a_page(self) -> Self:
        size = len(self.model_dump_json())
        if size > MAX_LANDING:
            template = "should be at most {limit} bytes of JSON, not {size}"
            raise PydanticCustomError("landing_too_large", template, {"limit": MAX_LANDING, "size": size})
        return self


class CampaignFields(TypedDict, total=False):
    """What a request gave; what is absent was not given, which is not the same as null."""

    name: str
    kind: str
    starts_at: datetime | None
    ends_at: datetime | None
    product: Product | None
    commission: CommissionRule
    rewards: Sequence[RewardDraft]
    attribution: AttributionRule
    new_members_only: bool
    tiers: list[Any]
    budget_minor: int | None
    landing: Landing
    rules_text: str | None
    poster_template_ids: list[str]
    poster_avatars: bool
    metadata: dict[str, Any]


def columns(fields: CampaignFields) -> dict[str, Any]:
    """Values of `Campaign` columns; Unprocessable for a kind or currency that is not to be had."""
    values: dict[str, Any] = {name: fields[name] for name in _SAME_NAME if name in fields}  # type: ignore[literal-required]  # names of the TypedDict
    if "kind" in fields:
        require_available(fields["kind"])
    if fields.get("tiers"):
        raise _refused("tiers_not_allowed", "/tiers", "Only a milestone campaign has tiers.")
    if "landing" in fields:
        values["landing"] = fields["landing"].model_dump(mode="json", exclude_unset=True)
    if "metadata" in fields:
        values["meta"] = fields["metadata"]
    if "product" in fields:
        values.update(_product_columns(fields["product"]))
    return values


def _product_columns(product: Product | None) -> dict[str, Any]:
    if product is None:
        return {"product_name": None, "price_minor": None, "stock": None, "product_kind": "goods"}
    if product.currency not in CURRENCIES:
        raise _refused("currency_unsupported", "/product/currency", "Amounts are in CNY for now.")
    return {
        "product_name": product.name,
        "price_minor": product.price_minor,
        "currency": product.currency,
        "stock": product.stock,
        "product_kind": product.kind,
    }


def require_available(kind: str) -> None:
    if kind not in KINDS_AVAILABLE:
        detail = f"Campaigns of kind `{kind}` are not to be had yet; distribution and refer_a_friend are."
        raise _refused("campaign_kind_unavailable", "/kind", detail)


def document(
    kind: str, fields: CampaignFields, *, base: RuleDocument | None = None, product_kind: str = "goods"
) -> RuleDocument:
    """The rules that hold once `fields` are applied to `base`; Unprocessable where they do not fit."""
    values: dict[str, Any] = {name: fields[name] for name in _TERMS if name in fields}  # type: ignore[literal-required]  # names of the TypedDict
    if "attribution" in values:
        values["attribution"] = _bound(values["attribution"])
    if "commission" in values or base is None:
        values["commission"] = _held(values.get("commission", CommissionRule()), product_kind)
    if "rewards" in fields:
        values["rewards"] = with_keys(fields["rewards"])
    elif base is None and kind == "refer_a_friend":
        values["rewards"] = with_keys(TWO_SIDED)
    complete = (base or RuleDocument()).model_copy(update=values)
    found = list(faults(complete))
    if found:
        raise Unprocessable(found[0].code, found[0].detail, errors=found)
    return complete


def _held(commission: CommissionRule, product_kind: str) -> CommissionRule:
    if product_kind == "goods" or "hold_days" in commission.model_fields_set:
        return commission
    return commission.model_copy(update={"hold_days": SERVICE_HOLD_DAYS})


def _bound(attribution: AttributionRule) -> AttributionRule:
    """A permanent binding has no days, unless somebody asks for both, which `faults` refuses."""
    binding = attribution.binding
    if binding.mode != "permanent" or "days" in binding.model_fields_set:
        return attribution
    return attribution.model_copy(update={"binding": Binding(mode="permanent", days=None)})


def with_keys(rewards: Sequence[RewardDraft]) -> tuple[RewardRule, ...]:
    """Rewards with their keys, and the usual cap on what one inviter can earn where none was given.

    Missing keys are made from the side alone, so that the same rewards sent again are the same rules, and nothing that
    was granted under them is granted twice.
    """
    taken = {reward.key for reward in rewards}
    complete = []
    for reward in rewards:
        key = reward.key or next(_free_keys(f"{reward.to}_days", taken))
        taken.add(key)
        cap = reward.cap_days or (CAP_DAYS if reward.to == "inviter" else None)
        complete.append(RewardRule.model_validate({**reward.model_dump(), "key": key, "cap_days": cap}))
    return tuple(complete)


def _free_keys(stem: str, taken: set[str | None]) -> Iterator[str]:
    candidates = chain([stem], (f"{stem}_{number}" for number in count(2)))
    return (key for key in candidates if key not in taken)


def faults(document: RuleDocument) -> Iterator[FieldError]:
    """Everything in the rules that may never be, however they came here."""
    yield from terms.faults(document.commission)
    for key in terms.repeated(reward.key for reward in document.rewards):
        yield FieldError("/rewards", "reward_key_repeated", f"The key `{key}` names two rewards.")
    for position, reward in enumerate(document.rewards):
        if reward.keep_days is not None and reward.on != "days_kept":
            detail = f"`keep_days` is for a reward on `days_kept`, not on `{reward.on}`."
            yield FieldError(f"/rewards/{position}/keep_days", "reward_keep_days_not_allowed", detail)
    yield from _binding_faults(document.attribution.binding)


def _binding_faults(binding: Binding) -> Iterator[FieldError]:
    if binding.mode == "permanent" and binding.days is not None:
        yield FieldError("/attribution/binding/days", "binding_days_not_allowed", "A permanent binding has no days.")
    if binding.mode == "days" and binding.days is None:
        yield FieldError("/attribution/binding/days", "binding_days_missing", "Say for how many days a binding holds.")


def _refused(code: str, pointer: str, detail: str) -> Unprocessable:
    return Unprocessable(code, detail, errors=[FieldError(pointer, code, detail)])
