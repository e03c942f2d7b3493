from __future__ import annotations

import pytest

from app.kit.errors import Unprocessable
from app.webhooks import urls


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com/hook",
        "https://shop.example.com:8443/hook?a=1",
        "https://93.184.215.14/hook",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/hook",
    ],
)
def test_public_https_is_taken_everywhere(url: str) -> None:
    urls.check_url(url, development=False)
    urls.check_url(url, development=True)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9000/hook", "http://localhost:9000/hook", "http://[::1]:9000/hook", "https://localhost/hook"],
)
def test_loopback_is_for_development(url: str) -> None:
    urls.check_url(url, development=True)
    with pytest.raises(Unprocessable, match="webhook_url_invalid"):
        urls.check_url(url, development=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/hook",
        "http://10.0.0.8/hook",
        "ftp://shop.example.com/",
        "https://",
        "https:///hook",
        "shop.example.com/hook",
        "https://user:secret@shop.example.com/",
        "https://shop.example.com/#part",
        "https://shop.example.com:99999/",
        "https://[::1",
        "https://shop.example.com:-1/",
        "https://shop.example.com:0/",
        "https://0\r",
        "https://shop.example.com/\thook",
        "https://xn--/",
        "https://１２７.0.0.1/",
        "https://10.0.0.8/",
        "https://100.100.100.200/latest/meta-data",
        "https://169.254.169.254/",
        "https://[fd00::1]/",
        "https://0.0.0.0/",
    ],
)
def test_what_no_delivery_may_reach_is_refused(url: str) -> None:
    for development in (True, False):
        with pytest.raises(Unprocessable, match="webhook_url_invalid"):
            urls.check_url(url, development=development)
