"""Every setting of Slipway: one class, read from the environment and from `.env`.

A field is set by the variable of its name in capitals (`max_file_size` by `MAX_FILE_SIZE`).
`.env.example` lists them all; a test compares the two. An empty variable counts as unset.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.core import embedded
from services.core.cores import available_cores
from services.core.errors import ConfigurationError
from services.core.setting_types import (
    BlobPlace,
    CommaSeparated,
    Days,
    Fields,
    Grace,
    Origins,
    Pairs,
    RedisUrl,
    Seconds,
    TraceTags,
    WebAddress,
    WebhookSecret,
)


class Settings(BaseSettings):
    """All settings, with their defaults. Immutable once read."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
        # MODEL_PATH is a name from the seeds; nothing of pydantic's begins with it.
        protected_namespaces=(),
    )

    environment: Literal["development", "production"] = "development"
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("data")
    max_connections: Annotated[int, Field(ge=1)] = 1000
    forwarded_allow_ips: str | None = None
    cors_origins: Origins = ()
    sentry_dsn: Annotated[str | None, Field(repr=False)] = None

    mlflow_tracking_uri: str | None = None
    mlflow_port: Annotated[int, Field(ge=1, le=65535)] = 5000
    mlflow_experiment_name: str | None = None
    experiment_name: str | None = None
    mlflow_webhook_secret: Annotated[str | None, Field(repr=False)] = None
    registry_poll_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 2.0
    serve_models: CommaSeparated = ()
    required_models: CommaSeparated = ()
    trusted_models: CommaSeparated = ()
    model_name: str = "MNISTClassifier"
    default_model: str | None = None
    # 0: six tenths of the memory that this process may have.
    memory_budget: Annotated[int, Field(ge=0)] = 0
    max_batch_size: Annotated[int, Field(ge=1, le=100_000)] = 128
    max_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    cache: Literal["off", "memory", "redis"] = "memory"
    cache_bytes: Annotated[int, Field(ge=0)] = 64 * 1024 * 1024
    cache_ttl: Seconds = 300.0
    redis_port: Annotated[int, Field(ge=1, le=65535)] = 6379
    redis_url: Annotated[RedisUrl | None, Field(repr=False)] = None
    # Answers may be put out of the cache for want of room; what waits in a queue must not.
    cache_redis_url: Annotated[RedisUrl | None, Field(repr=False)] = None

    model_path: Path | None = None
    config_path: Path | None = None
    cutler_engine: Literal["native", "detectron2"] = "native"
    cutler_precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    cutler_preset: Literal["exact", "fast"] = "exact"
    cutler_device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    cutler_threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    num_threads: Annotated[int, Field(ge=0, le=1024)] = 0

    max_file_size: Annotated[int, Field(ge=1)] = 10 * 1024 * 1024
    max_batch_files: Annotated[int, Field(ge=1, le=1000)] = 32
    # 24 megapixels pass a phone's 12 and stop a file of 1 kB that unpacks into 25.
    max_image_pixels: Annotated[int, Field(ge=1, le=170_000_000)] = 24_000_000
    max_image_side: Annotated[int, Field(ge=1, le=65535)] = 10_000

    ledger: bool = True
    ledger_durability: Literal["interval", "strict"] = "interval"
    ledger_sync_seconds: Annotated[float, Field(ge=0.001, le=60)] = 0.1
    ledger_segment_bytes: Annotated[int, Field(ge=4096, le=64 * 1024**2)] = 8 * 1024 * 1024
    ledger_segment_seconds: Annotated[float, Field(ge=0.1, le=3600)] = 60.0
    ledger_max_bytes: Annotated[int, Field(ge=64 * 1024)] = 1024**3
    ledger_when_full: Literal["refuse", "drop"] = "refuse"
    ledger_inline_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 64 * 1024
    ledger_inputs: Literal["full", "digest", "none"] = "full"
    ledger_inputs_by_model: Pairs = {}
    ledger_redact: Fields = ()
    ledger_annotated: CommaSeparated = ()
    ledger_blob_bytes: Annotated[int, Field(ge=0)] = 1024**3
    ledger_blob_days: Days = 7.0
    ledger_database_url: Annotated[str | None, Field(repr=False)] = None
    ledger_keep_days: Days = 7.0
    ledger_keep_rows: Annotated[int, Field(ge=0)] = 1_000_000
    ledger_shipper: Literal["thread", "off"] = "thread"
    ledger_experiment: Annotated[str, Field(min_length=1, max_length=200)] = "slipway-predictions"
    ledger_trace_rate: Annotated[float, Field(ge=0, le=10_000)] = 100.0
    ledger_trace_lag: Annotated[float, Field(ge=1, le=86_400)] = 120.0
    ledger_trace_tags: TraceTags = ("model", "version", "stage", "status")
    ledger_trace_days: Days = 30.0
    ledger_parquet_days: Days = 365.0
    ledger_low_confidence: Annotated[float, Field(ge=0, le=1)] = 0.5
    mlflow_ui_url: str | None = None

    # Seconds between two looks; 0: none.
    drift_every: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    drift_window: Annotated[int, Field(ge=100, le=5_000)] = 500

    quality_samples: Annotated[int, Field(ge=1, le=100_000)] = 1000
    quality_days: Annotated[float, Field(gt=0, le=3650)] = 30.0

    jobs: bool = True
    job_lease: Annotated[float, Field(ge=1, le=3600)] = 15.0
    job_timeout: Seconds = 300.0
    training_timeout: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    job_max_queued: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    job_max_unpublished: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    job_ttl: Annotated[float, Field(gt=0, le=30 * 86_400)] = 86_400.0
    job_keep_days: Days = 7.0
    job_blobs: Annotated[BlobPlace | None, Field(repr=False)] = None
    job_inline_bytes: Annotated[int, Field(ge=0, le=1024 * 1024)] = 16 * 1024
    batch_max_items: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    batch_max_bytes: Annotated[int, Field(ge=1)] = 100 * 1024 * 1024
    worker_models: CommaSeparated = ()
    worker_concurrency: Annotated[int, Field(ge=1, le=256)] = 1
    worker_metrics_port: Annotated[int | None, Field(ge=1, le=65535)] = None
    webhook_secret: Annotated[WebhookSecret | None, Field(repr=False)] = None
    webhook_allow_private: bool = False

    prometheus_multiproc_dir: Path | None = None
    prometheus_port: Annotated[int, Field(ge=1, le=65535)] = 9090
    alertmanager_port: Annotated[int, Field(ge=1, le=65535)] = 9093
    # An address of this kind is often a secret in itself.
    alert_webhook_url: Annotated[WebAddress | None, Field(repr=False)] = None
    alert_watchdog_url: Annotated[WebAddress | None, Field(repr=False)] = None

    request_timeout: Seconds = 30.0
    upload_timeout: Seconds = 60.0
    max_queue: Annotated[int, Field(ge=0, le=100_000)] = 16
    decode_workers: Annotated[int, Field(ge=1, le=256)] = 2
    shutdown_grace: Grace = 20.0
    shutdown_delay: Grace = 1.0

    @field_validator(
        "environment", "log_format", "cache", "ledger_durability", "ledger_when_full",
        "ledger_inputs", "ledger_shipper", mode="before",
    )  # fmt: skip
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else value

    @field_validator("job_timeout")
    @classmethod
    def _outlasts_its_lease(cls, value: float, info: ValidationInfo) -> float:
        lease = info.data.get("job_lease")
        if lease is not None and value <= lease:
            raise ValueError("a job may take longer than its lease (JOB_LEASE)")
        return value

    @property
    def tracking_uri(self) -> str:
        """MLFLOW_TRACKING_URI, or the embedded MLflow: its server if one runs, else its files."""
        if self.mlflow_tracking_uri is not None:
            return self.mlflow_tracking_uri
        server = embedded.running(self.data_dir)
        return embedded.database_uri(self.data_dir) if server is None else server.uri

    @property
    def threads(self) -> int:
        """Threads that one model may use: NUM_THREADS, or every core that is available."""
        return self.num_threads or available_cores()

    @property
    def effective_log_level(self) -> str:
        """LOG_LEVEL, or DEBUG where DEBUG is set."""
        return "DEBUG" if self.debug else self.log_level


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`; keyword arguments win over both.

    Raises:
        ConfigurationError: a value is not accepted; the message names every such variable.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise _configuration_error(error) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "The file of settings cannot be read.",
            where=".env",
            expected="a readable UTF-8 text file of NAME=value lines",
        ) from error


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        ConfigurationError: see `load_settings`.
    """
    return load_settings()


def _configuration_error(error: ValidationError) -> ConfigurationError:
    """Name the variables and what they accept, never the value: it may be a secret."""
    found = [
        (str(item["loc"][0]).upper() if item["loc"] else "settings", item["msg"])
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    names = ", ".join(dict.fromkeys(name for name, _ in found))
    return ConfigurationError(
        f"The value of {names} is not accepted.",
        where=found[0][0],
        expected="; ".join(dict.fromkeys(f"{name}: {message}" for name, message in found)),
    )
