"""Templates that every merchant has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from app.poster.designs import distribution, merchant_registration, milestone, refer_a_friend
from app.poster.template import Template, load_template

# Those that merchants may choose from, as they are called to people.
OFFERED: Mapping[str, str] = MappingProxyType(
    {"distribution": "商品分销", "refer_a_friend": "邀请好友，双方得会员", "milestone": "阶梯任务"}
)
BUILTIN: Mapping[str, Template] = MappingProxyType(
    {
        "distribution": load_template(distribution.DOCUMENT),
        "milestone": load_template(milestone.DOCUMENT),
        "refer_a_friend": load_template(refer_a_friend.DOCUMENT),
        "merchant_registration": load_template(merchant_registration.DOCUMENT),
    }
)
