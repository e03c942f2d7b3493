"""The only reader of the environment."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.kit import crypto, ids, links, redis_urls

MOST_SHARDS = 64


class Settings(BaseSettings):
    """Names are the environment variables of `.env.example`; a missing secret stops the start, none has a default."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    database_url: str = Field(validation_alias="DATABASE_URL", repr=False)
    database_system_url: str = Field(validation_alias="DATABASE_SYSTEM_URL", repr=False)
    database_owner_url: str | None = Field(default=None, validation_alias="DATABASE_OWNER_URL", repr=False)
    redis_url: str = Field(validation_alias="REDIS_URL", repr=False)
    environment: Literal["development", "production"] = Field(default="production", validation_alias="INVITREE_ENV")
    public_url: str = Field(default="http://127.0.0.1:8000", validation_alias="INVITREE_PUBLIC_URL")
    secret_key: SecretStr = Field(validation_alias="INVITREE_SECRET_KEY")
    encryption_keys: SecretStr = Field(validation_alias="INVITREE_ENCRYPTION_KEYS")
    blind_index_key: SecretStr = Field(validation_alias="INVITREE_BLIND_INDEX_KEY")
    sms_provider: Literal["sandbox", "http"] = Field(default="sandbox", validation_alias="INVITREE_SMS_PROVIDER")
    sms_url: str | None = Field(default=None, validation_alias="INVITREE_SMS_URL")
    sms_token: SecretStr = Field(default=SecretStr(""), validation_alias="INVITREE_SMS_TOKEN")
    pool_size: int = Field(default=10, ge=1, le=200, validation_alias="INVITREE_POOL_SIZE")
    track_shards: int = Field(default=1, ge=1, le=MOST_SHARDS, validation_alias="TRACK_SHARDS")
    events_kept_days: int = Field(default=400, ge=31, le=3_650, validation_alias="INVITREE_EVENTS_KEPT_DAYS")
    poster_cache_dir: Path | None = Field(default=None, validation_alias="INVITREE_POSTER_CACHE")
    poster_cache_megabytes: int = Field(default=512, ge=0, validation_alias="INVITREE_POSTER_CACHE_MB")
    worker_metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, validation_alias="INVITREE_WORKER_METRICS_PORT"
    )
    registrations_per_hour: int = Field(default=20, ge=1, validation_alias="INVITREE_REGISTRATIONS_PER_HOUR")
    codes_per_hour: int = Field(default=120, ge=1, validation_alias="INVITREE_CODES_PER_HOUR")
    sandbox_payments: Literal["test", "all"] = Field(default="test", validation_alias="INVITREE_SANDBOX_PAYMENTS")
    wechat_api_url: str = Field(
        default="https://api.weixin.qq.com",
        pattern=r"^https?://[!-~]+[^/]$",
        validation_alias="INVITREE_WECHAT_API_URL",
    )
    trusted_proxies: int = Field(default=0, ge=0, le=5, validation_alias="INVITREE_TRUSTED_PROXIES")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="INVITREE_LOG_LEVEL"
    )
    log_json: bool = Field(default=True, validation_alias="INVITREE_LOG_JSON")

    @field_validator("public_url")
    @classmethod
    def _fits_a_poster(cls, value: str) -> str:
        address = value.rstrip("/")
        if not re.fullmatch(r"https?://[!-~]+", address):
            raise ValueError("INVITREE_PUBLIC_URL begins with https:// (or http://) and is written in ASCII")
        spare = links.LONGEST - len(links.scan_link(address, "x" * ids.INVITE_LENGTH))
        if spare < 0:
            most = len(address) + spare
            raise ValueError(
                f"INVITREE_PUBLIC_URL has at most {most} characters, not {len(address)}: the QR codes of posters could "
                "not be read"
            )
        return address

    @field_validator("redis_url")
    @classmethod
    def _names_one_redis_or_a_cluster(cls, value: str) -> str:
        redis_urls.parse(value)
        return value

    @model_validator(mode="after")
    def _codes_reach_their_phone(self) -> Self:
        if self.sms_provider == "http" and not (self.sms_url or "").startswith(("https://", "http://")):
            raise ValueError("INVITREE_SMS_PROVIDER=http needs INVITREE_SMS_URL, the gateway that sends the codes")
        if self.sms_provider == "sandbox" and self.environment == "production":
            raise ValueError("INVITREE_SMS_PROVIDER=sandbox shows codes to whoever asks: production needs `http`")
        return self

    @property
    def sandbox_for_live(self) -> bool:
        """Whether live merchants without a payment provider sell by the sandbox cashier, which takes no money."""
        return self.environment == "development" or self.sandbox_payments == "all"

    @model_validator(mode="after")
    def _usable_secrets(self) -> Self:
        self.keyring()
        return self

    def keyring(self) -> crypto.Keyring:
        index_key = crypto.decode_key(self.blind_index_key.get_secret_value())
        secret_key = crypto.decode_key(self.secret_key.get_secret_value())
        if min(len(index_key), len(secret_key)) < crypto.KEY_BYTES:
            raise ValueError("INVITREE_SECRET_KEY and INVITREE_BLIND_INDEX_KEY are base64 of at least 32 bytes")
        return crypto.Keyring(crypto.parse_keys(self.encryption_keys.get_secret_value()), index_key, secret_key)


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    return Settings()


@lru_cache(maxsize=1)
def get_keyring() -> crypto.Keyring:
    return get_settings().keyring()


class Ground(BaseSettings):
    """What the command line asks before there is anything: is there a database, and where may an own one live."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL", repr=False)
    database_owner_url: str | None = Field(default=None, validation_alias="DATABASE_OWNER_URL", repr=False)
    environment: str | None = Field(default=None, validation_alias="INVITREE_ENV")
    public_url: str | None = Field(default=None, validation_alias="INVITREE_PUBLIC_URL")
    track_shards: int = Field(default=1, ge=1, le=MOST_SHARDS, validation_alias="TRACK_SHARDS")
    data_dir: Path | None = Field(default=None, validation_alias="INVITREE_DATA")
