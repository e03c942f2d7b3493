"""Providers that carry out single transfers: WeChat transfer bills, Alipay, and the sandbox of test tenants."""
