"""What a person sees when something does not go: a friendly page, never a stack trace or JSON."""

from __future__ import annotations

from fastapi import Request, Response

from app.h5.pages import render
from app.kit.errors import InvitreeError

# code → icon, title, text; by status where a code has none
_BY_CODE = {
    "campaign_not_active": ("⏸️", "活动暂停中", "主办方暂停了活动，请稍后再来看看"),
    "campaign_ended": ("🏁", "活动已结束", "感谢关注，期待下次相遇"),
    "campaign_not_begun": ("🕒", "活动尚未开始", "请在活动开始后再来"),
    "campaign_not_found": ("🔍", "没有找到这个活动", "链接可能不完整，请向分享者要一个新链接"),
    "invite_code_not_found": (
        "🔍",
        "没有找到这个邀请",
        "链接可能不完整，请向分享者要一个新链接。This invitation was not found: please ask for a new link.",
    ),
    "form_cross_site": ("🔒", "无法从这里提交", "请打开活动页面，再提交一次"),
    "code_resend_too_soon": ("⏳", "验证码刚刚发送过", "请一分钟后再试"),
    "out_of_stock": ("🛍️", "暂时没有库存", "商品已售完，或正有人付款；超时未付款的会放回来，请稍后再试"),
    "product_not_for_sale": ("🛍️", "暂不能购买", "这个活动没有可以在线购买的商品"),
    "payment_provider_missing": ("🛠️", "暂不能付款", "主办方还没有开通收款，请联系主办方"),
    "payment_provider_refused": ("🛠️", "暂时无法付款", "支付平台没有受理，请稍后再试"),
    "checkout_not_found": ("🔍", "没有找到这个订单", "链接可能不完整，请重新打开"),
    "body_too_large": ("🖼️", "图片太大", "请选择 5 MB 以内的图片"),
}
_BY_STATUS = {
    403: ("🔒", "请先登录", "请打开活动页面，在页面底部用报名时的手机号登录"),
    404: ("🔍", "页面不存在", "链接可能不完整，请向分享者要一个新链接"),
    429: ("⏳", "操作太频繁", "请稍后再试"),
    503: ("🛠️", "服务暂时不可用", "请稍后刷新页面，你的数据都在"),
}
# after which one goes on where one was: nothing but a moment lies between
_PASSING = frozenset({409, 429, 503})
_OTHER = ("🙈", "出了点问题", "请返回上一页再试一次")

# what a form shows above its fields
FORM_TEXT = {
    "phone_invalid": "请输入正确的手机号",
    "code_invalid": "验证码不正确，请重新输入",
    "code_expired": "验证码已过期，请重新获取",
    "code_attempts_exceeded": "尝试次数过多，请重新获取验证码",
    "code_resend_too_soon": "验证码刚刚发送过，请一分钟后再试",
    "invite_code_unknown": "邀请码不存在，请检查或留空",
    "invite_code_other_campaign": "这个邀请码属于另一个活动，请检查或留空",
    "self_invite": "不能使用自己的邀请码",
    "agreement_missing": "请先阅读并同意活动规则",
    "name_missing": "请填写商户名称",
    "merchant_exists": "这个手机号已注册，请直接使用已有账户",
    "rate_limited": "操作太频繁，请稍后再试",
}


def form_text(error: InvitreeError) -> str:
    return FORM_TEXT.get(error.code) or _picked(error)[2]


def error_page(request: Request, error: InvitreeError) -> Response:
    icon, title, text = _picked(error)
    request_id = f"编号 {request.state.request_id}" if error.status >= 500 else ""
    told = {"icon": icon, "title": title, "text": text, "request_id": request_id, "back": _back(request, error)}
    return with_retry(render("error.html", status=error.status, **told), error)


def _back(request: Request, error: InvitreeError) -> str:
    """The page whose button was pressed: to load the answer again would press it again."""
    named = request.scope.get("path_params") or {}
    if request.method != "POST" or error.status not in _PASSING:
        return ""
    for name, page in (("checkout_id", "pay"), ("participant_id", "me")):
        if name in named:
            return f"/h5/{page}/{named[name]}"
    return ""


def with_retry(page: Response, error: InvitreeError) -> Response:
    """The page of an error, with the header that says when to come again."""
    if error.retry_after is not None:
        page.headers["Retry-After"] = str(error.retry_after)
    return page


def _picked(error: InvitreeError) -> tuple[str, str, str]:
    return _BY_CODE.get(error.code) or _BY_STATUS.get(error.status) or _OTHER
