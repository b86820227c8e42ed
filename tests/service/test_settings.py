"""The store that a server is started with: what is refused, and what is never told."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from packtrain.service.settings import Settings, parse_artifacts

SECRET = "s3cr3t"


def settings(store: str | None) -> Settings:
    return Settings(data_dir=Path("/data"), workers=1, store=store)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"postgresql://user:{SECRET}@db.example:5433/jobs", "the store at db.example:5433/jobs"),
        (
            f"postgresql://user:{SECRET}@[::1]:5433/jobs?sslmode=require",
            "the store at [::1]:5433/jobs",
        ),
        (f"postgres://user:{SECRET}%40%2F@one,two:5433/jobs", "the store at one,two:5433/jobs"),
        ("postgresql:///jobs?host=/run/postgresql", "the store at localhost/jobs"),
    ],
)
def test_a_url_of_postgresql(url: str, name: str) -> None:
    made = settings(url)
    assert (made.store_url, made.store_name) == (url, name)
    assert SECRET not in repr(made)


def test_sqlite_in_the_data_directory() -> None:
    made = settings(None)
    assert made.store_url == "sqlite:////data/packtrain.db"
    assert made.store_name == "the store in /data"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{SECRET}@host/jobs",
        f"user:{SECRET}@host/jobs",
        f"postgresql://user:{SECRET}/more@host/jobs",
        f"postgresql://user:{SECRET}@more@host/jobs",
        f"postgresql://user:{SECRET}#more@host/jobs",
        f"postgresql://user:{SECRET}%@host/jobs",
        f"postgresql://user:{SECRET}%zz@host/jobs",
        f"postgresql://user:{SECRET}%00@host/jobs",
        f"postgresql://user:1?{SECRET}=2@host/jobs",
        f"postgresql://user:{SECRET}@[::1/jobs",
        "",
    ],
)
def test_what_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^--store must be postgresql://USER:PASSWORD@HOST"
    ) as told:
        settings(url)
    assert SECRET not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (f"nothing={SECRET}", '"nothing"'),
        ("sslmod=require", '"sslmod"'),
        ("sslmode", '"sslmode"'),
        ("sslmode=a=b", '"sslmode"'),
    ],
)
def test_options_that_libpq_does_not_know_are_told(options: str, told: str) -> None:
    with pytest.raises(ValueError, match=rf"^--store can't be read: .*{told}$") as caught:
        settings(f"postgresql://user:{SECRET}@host/jobs?{options}")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_where_artifacts_are_kept() -> None:
    assert parse_artifacts("here/there") == str(Path("here/there").absolute())
    assert parse_artifacts("s3://bucket/folder") == "s3://bucket/folder"


@pytest.mark.parametrize("text", ["s3:/bucket/folder", "s3:bucket", "gs:/"])
def test_a_slip_in_a_uri_is_no_folder(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--artifacts must be a folder, or a URI"):
        parse_artifacts(text)
