"""What the store of a bucket asks the service for, and what it makes of each answer.

`Bucket` stands for the service where every argument and the moment of a call are looked at; that a
real client and a service understand each other is what tests/integration/artifacts/test_s3.py says.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from cdesk.artifacts import factory, s3
from cdesk.artifacts.addresses import WHOLE_BYTES, name_of
from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.ranges import RemoteFile
from cdesk.artifacts.s3 import S3Artifacts, lifecycle_rule, open_s3
from cdesk.core.config import Settings
from cdesk.core.errors import ArtifactStoreError, ArtifactUnreadable, ConfigurationError, NotFound
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key

ID = "0190a5f0-0000-7000-8000-000000000001"
ADA = customer_key("ada")
ROWS = b"PAR1 rows"
NAME = name_of(ADA, ID, ROWS)
KEY = f"team/a/{ADA}/{NAME}.parquet"
URI = f"s3://results/{KEY}"
LOCAL = f"cdesk://artifacts/{ADA}/{NAME}.parquet"


class Bucket:
    """Objects by key, and every call that changes or reads one. `error` is raised by the next."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.versions: list[dict[str, list[dict[str, str]]]] = []
        self.uploads: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None

    def _called(self, name: str, given: dict[str, Any]) -> None:
        if given.pop("Bucket") != "results":
            raise AssertionError
        self.calls.append((name, given))
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def head_object(self, **given: Any) -> dict[str, Any]:
        self._called("head", given)
        if given["Key"] not in self.objects:
            raise refusal("404")
        content = self.objects[given["Key"]]
        metadata = self.metadata.get(given["Key"], {})
        return {"ContentLength": len(content), "ETag": '"1"', "Metadata": metadata}

    def get_object(self, **given: Any) -> dict[str, Any]:
        self._called("get", given)
        start, _, last = given["Range"].removeprefix("bytes=").partition("-")
        return {"Body": io.BytesIO(self.objects[given["Key"]][int(start) : int(last) + 1])}

    def upload_file(self, path: str, bucket: str, key: str, **given: Any) -> None:
        self._called("upload", {"Bucket": bucket, "Key": key, **given})
        self.objects[key] = Path(path).read_bytes()

    def download_file(self, bucket: str, key: str, path: str, **given: Any) -> None:
        self._called("download", {"Bucket": bucket, "Key": key, **given})
        Path(path).write_bytes(self.objects[key])

    def delete_object(self, **given: Any) -> None:
        self._called("delete", given)

    def put_object_tagging(self, **given: Any) -> None:
        self._called("tag", given)

    def abort_multipart_upload(self, **given: Any) -> None:
        self._called("abort", given)

    def generate_presigned_url(self, method: str, *, Params: Any, ExpiresIn: int) -> str:  # noqa: N803
        self._called(method, {"ExpiresIn": ExpiresIn, **Params})
        return "https://signed"

    def get_paginator(self, name: str) -> Any:
        bucket = self

        class Pages:
            def paginate(self, **given: Any) -> Iterator[dict[str, Any]]:
                bucket._called(name, given)
                prefix = given["Prefix"]
                if name == "list_objects_v2":
                    for key in [one for one in bucket.objects if one.startswith(prefix)]:
                        yield {"Contents": [{"Key": key}]}
                    yield {}
                elif name == "list_multipart_uploads":
                    yield {"Uploads": [u for u in bucket.uploads if u["Key"].startswith(prefix)]}
                    yield {}
                else:
                    yield from bucket.versions
                    yield {}

        return Pages()


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "x"}}, "Operation")


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def store(bucket: Bucket, home: Path, **options: Any) -> S3Artifacts:
    given: dict[str, Any] = {"prefix": "team/a", **options}
    local = LocalArtifacts(home / "artifacts")
    return S3Artifacts(bucket, bucket="results", cache=home / "cache", local=local, **given)


def put(artifacts: S3Artifacts, content: bytes = ROWS, id: str = ID, customer: str = "ada") -> str:
    with artifacts.write(customer, id) as draft:
        draft.path.write_bytes(content)
    return draft.uri


def files(home: Path) -> list[Path]:
    return sorted(path.relative_to(home) for path in home.rglob("*") if path.is_file())


# -- storing


@pytest.mark.parametrize(
    ("prefix", "start"), [("", ""), ("/", ""), ("x", "x/"), ("/x/y/", "x/y/"), ("a.b", "a.b/")]
)
def test_a_results_address_is_bucket_prefix_owner_and_name(
    bucket: Bucket, tmp_path: Path, prefix: str, start: str
) -> None:
    artifacts = store(bucket, tmp_path, prefix=prefix)
    uri = put(artifacts)
    assert uri == f"s3://results/{start}{ADA}/{NAME}.parquet"
    assert artifacts.exists(uri)
    assert list(artifacts.artifact_ids()) == [(ID, uri)]
    assert not artifacts.exists(f"s3://results/{start.replace('.', 'x')}y/{ADA}/{NAME}.parquet")


@pytest.mark.parametrize(
    ("options", "encrypted"),
    [
        ({}, {"ServerSideEncryption": "AES256"}),
        ({"kms_key": "alias/k"}, {"ServerSideEncryption": "AES256"}),
        ({"encryption": "aws:kms"}, {"ServerSideEncryption": "aws:kms"}),
        (
            {"encryption": "aws:kms", "kms_key": "alias/k"},
            {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/k"},
        ),
        ({"encryption": "none", "kms_key": "alias/k"}, {}),
    ],
)
def test_what_is_put_is_encrypted_as_configured_checked_and_tagged(
    bucket: Bucket, tmp_path: Path, options: dict[str, str], encrypted: dict[str, str]
) -> None:
    put(store(bucket, tmp_path, part_bytes=7, **options))
    [(name, given)] = bucket.calls
    transfer = given.pop("Config")
    assert (transfer.multipart_threshold, transfer.multipart_chunksize) == (7, 7)
    digest = base64.b64encode(hashlib.sha256(ROWS).digest()).decode()
    assert (name, given) == (
        "upload",
        {
            "Key": KEY,
            "ExtraArgs": {
                **encrypted,
                "ContentType": "application/vnd.apache.parquet",
                "ChecksumAlgorithm": "SHA256",
                "Metadata": {"sha256": digest},
                "Tagging": "cdesk-retention=expires",
            },
        },
    )


def test_a_result_is_kept_in_the_cache_where_nobody_else_reads_it(
    bucket: Bucket, tmp_path: Path
) -> None:
    artifacts = store(bucket, tmp_path / "home")
    uri = put(artifacts)
    place = Path("cache") / ADA / f"{NAME}.parquet"
    assert files(tmp_path / "home") == [place]
    bucket.calls.clear()
    assert artifacts.path(uri) == artifacts.source(uri) == tmp_path / "home" / place
    assert bucket.calls == [], "nothing is asked for what is here"
    modes = [(tmp_path / "home" / one).stat().st_mode & 0o777 for one in ("cache", place.parent)]
    assert modes == [0o700, 0o700] or os.name == "nt"


def test_a_small_result_is_put_as_any_other(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    assert artifacts.keeps_small is False
    assert artifacts.keep("ada", ID, ROWS) == URI
    assert bucket.objects == {KEY: ROWS}
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("fails", ["the writer", "the service", "the id"])
def test_nothing_is_left_of_what_could_not_be_stored(
    bucket: Bucket, tmp_path: Path, fails: str
) -> None:
    artifacts = store(bucket, tmp_path)

    def write() -> None:
        with artifacts.write("ada", "x" if fails == "the id" else ID) as draft:
            draft.path.write_bytes(ROWS)
            if fails == "the writer":
                raise KeyboardInterrupt
            bucket.error = refusal("AccessDenied")

    with pytest.raises((KeyboardInterrupt, ArtifactStoreError, NotFound)):
        write()
    assert (bucket.objects, files(tmp_path)) == ({}, [])


def test_a_cache_that_cannot_keep_it_costs_nobody_the_result(
    bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ADA).write_bytes(b"a file stands in the way")
    assert put(store(bucket, tmp_path)) == URI
    assert bucket.objects == {KEY: ROWS}
    assert files(tmp_path) == [Path("cache") / ADA]


# -- reading


def test_a_small_result_is_fetched_and_a_large_one_read_where_it_lies(
    bucket: Bucket, tmp_path: Path
) -> None:
    put(store(bucket, tmp_path / "theirs"))
    small = store(bucket, tmp_path / "a", whole_bytes=len(ROWS))
    assert small.source(URI) == tmp_path / "a" / "cache" / ADA / f"{NAME}.parquet"
    large = store(bucket, tmp_path / "b", whole_bytes=len(ROWS) - 1)
    bucket.calls.clear()
    source = large.source(URI)
    assert isinstance(source, RemoteFile)
    assert (source.name, source.size, source.version) == (f"{NAME}.parquet", len(ROWS), '"1"')
    assert source.read(5, 4) == b"rows"
    assert bucket.calls[0] == ("head", {"Key": KEY})
    assert bucket.calls[1:] == [("get", {"Key": KEY, "Range": "bytes=0-8", "IfMatch": '"1"'})]
    assert large.path(URI).read_bytes() == ROWS
    assert isinstance(large.source(URI), Path)
    assert isinstance(store(bucket, tmp_path / "c").source(URI), Path)
    bucket.objects[KEY] = bytes(WHOLE_BYTES + 1)
    assert isinstance(store(bucket, tmp_path / "d").source(URI), RemoteFile)


def test_less_than_was_asked_for_is_not_what_was_put(bucket: Bucket, tmp_path: Path) -> None:
    bucket.objects[KEY] = ROWS
    artifacts = store(bucket, tmp_path)
    assert artifacts.fetch_range(KEY, 2, 9, etag="x") == ROWS[2:9]
    with pytest.raises(ArtifactUnreadable, match="not what was put there; run its query again"):
        artifacts.fetch_range(KEY, 2, 10, etag="x")


def test_what_is_gone_from_the_bucket_says_what_to_do(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    for read in (artifacts.path, artifacts.source):
        with pytest.raises(NotFound, match="is gone; run its query again with --fresh"):
            read(URI)
    assert (artifacts.exists(URI), artifacts.is_whole(URI), artifacts.remove(URI)) == (False,) * 3
    assert files(tmp_path) == []
    assert [name for name, _ in bucket.calls] == ["head"] * 5


def test_a_result_is_fetched_in_parts_as_it_was_put(bucket: Bucket, tmp_path: Path) -> None:
    put(store(bucket, tmp_path / "a"))
    store(bucket, tmp_path / "b").path(URI)
    store(bucket, tmp_path / "c", part_bytes=7).path(URI)
    sizes = [
        (given["Config"].multipart_threshold, given["Config"].multipart_chunksize)
        for name, given in bucket.calls
        if name in ("upload", "download")
    ]
    assert sizes == [(16 * 2**20, 16 * 2**20)] * 2 + [(7, 7)]


def test_a_cache_that_nobody_bounds_keeps_four_gibibytes(bucket: Bucket, tmp_path: Path) -> None:
    assert store(bucket, tmp_path)._cache_bytes == 4 * 2**30


def test_what_came_is_checked_and_nothing_is_left_of_what_was_changed(
    bucket: Bucket, tmp_path: Path
) -> None:
    bucket.objects[KEY] = b"PAR1 rovs"
    artifacts = store(bucket, tmp_path)
    with pytest.raises(ArtifactUnreadable, match="not what was put there; run its query again"):
        artifacts.path(URI)
    assert files(tmp_path) == []
    bucket.objects[KEY] = ROWS
    assert artifacts.path(URI).read_bytes() == ROWS
    artifacts.path(URI).write_bytes(b"PAR1 rovs")
    assert artifacts.path(URI).read_bytes() == ROWS, "a damaged copy is fetched once more"


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ({"sha256": base64.b64encode(hashlib.sha256(ROWS).digest()).decode()}, True),
        ({"sha256": base64.b64encode(hashlib.sha256(b"x").digest()).decode()}, False),
        ({}, True),
    ],
)
def test_an_object_without_a_digest_in_its_name_is_checked_by_what_it_says_if_anything(
    bucket: Bucket, tmp_path: Path, said: dict[str, str], whole: bool
) -> None:
    key = f"team/a/{ADA}/{ID}.parquet"
    bucket.objects[key], bucket.metadata[key] = ROWS, said
    artifacts = store(bucket, tmp_path)
    if whole:
        assert artifacts.path(f"s3://results/{key}").read_bytes() == ROWS
    else:
        with pytest.raises(ArtifactUnreadable):
            artifacts.path(f"s3://results/{key}")


def test_a_link_says_the_name_to_save_it_under(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    assert artifacts.download_url(URI, filename='a "b"/ü.parquet') == "https://signed"
    assert artifacts.download_url(URI, filename="x" * 200, seconds=5) == "https://signed"
    given = {"Key": KEY, "ResponseContentType": "application/vnd.apache.parquet"}
    assert bucket.calls == [
        (
            "get_object",
            {
                "ExpiresIn": 900,
                **given,
                "ResponseContentDisposition": 'attachment; filename="a__b___.parquet"',
            },
        ),
        (
            "get_object",
            {
                "ExpiresIn": 5,
                **given,
                "ResponseContentDisposition": f'attachment; filename="{"x" * 120}"',
            },
        ),
    ]


# -- removing


def test_a_removed_result_is_gone_here_too(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    put(artifacts)
    bucket.calls.clear()
    assert artifacts.remove(URI)
    assert bucket.calls == [("head", {"Key": KEY}), ("delete", {"Key": KEY})]
    assert files(tmp_path) == []


def version(key: str, number: str) -> dict[str, str]:
    return {"Key": key, "VersionId": number}


def test_a_purge_removes_every_version_and_marker(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    put(artifacts)
    bucket.versions = [
        {"Versions": [version(KEY, "1"), version(KEY, "2")], "DeleteMarkers": [version(KEY, "3")]}
    ]
    bucket.calls.clear()
    assert artifacts.purge(URI)
    assert bucket.calls[0] == ("list_object_versions", {"Prefix": KEY})
    assert bucket.calls[1:] == [("delete", version(KEY, number)) for number in "123"]
    assert files(tmp_path) == []
    bucket.versions = []
    assert artifacts.purge(URI) is False


def test_an_erasure_counts_all_that_it_removed(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    put(artifacts)
    theirs = put(artifacts, customer="bob")
    with LocalArtifacts(tmp_path / "artifacts").write("ada", ID) as draft:
        draft.path.write_bytes(ROWS)
    bucket.versions = [{"Versions": [version(KEY, "1"), version(KEY, "2")]}]
    bucket.uploads = [
        {"Key": KEY, "UploadId": "u", "Initiated": datetime.now(UTC)},
        {"Key": f"team/a/{customer_key('bob')}/x", "UploadId": "v", "Initiated": datetime.now(UTC)},
    ]
    bucket.calls.clear()
    assert artifacts.erase("ada") == 5, "a local one, its copy, two versions, an upload"
    assert bucket.calls == [
        ("list_object_versions", {"Prefix": f"team/a/{ADA}/"}),
        ("delete", version(KEY, "1")),
        ("delete", version(KEY, "2")),
        ("list_multipart_uploads", {"Prefix": f"team/a/{ADA}/"}),
        ("abort", {"Key": KEY, "UploadId": "u"}),
    ]
    assert files(tmp_path) == [
        Path("cache") / customer_key("bob") / theirs.rpartition("/")[2],
    ]


@pytest.mark.parametrize(("on", "value"), [(True, "hold"), (False, "expires")])
def test_a_hold_is_a_tag_of_the_object(
    bucket: Bucket, tmp_path: Path, on: bool, value: str
) -> None:
    store(bucket, tmp_path).hold(URI, on=on)
    tags = {"TagSet": [{"Key": "cdesk-retention", "Value": value}]}
    assert bucket.calls == [("tag", {"Key": KEY, "Tagging": tags})]


def test_uploads_of_ours_that_began_more_than_a_day_ago_are_ended(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    monkeypatch.setattr(s3, "datetime", SimpleNamespace(now=now.astimezone))
    old, new = now - timedelta(days=1, microseconds=1), now - timedelta(days=1)
    bucket.uploads = [
        {"Key": KEY, "UploadId": "old", "Initiated": old},
        {"Key": KEY, "UploadId": "new", "Initiated": new},
        {"Key": "team/a/theirs", "UploadId": "theirs", "Initiated": old},
    ]
    assert store(bucket, tmp_path).remove_abandoned() == 1
    assert bucket.calls == [
        ("list_multipart_uploads", {"Prefix": "team/a/"}),
        ("abort", {"Key": KEY, "UploadId": "old"}),
    ]


def test_what_is_left_over_counts_wherever_it_lay(bucket: Bucket, tmp_path: Path) -> None:
    local = tmp_path / "artifacts" / ADA / f".{ID}.parquet.part"
    cached = [
        tmp_path / "cache" / ".x.parquet.part",
        tmp_path / "cache" / ".x.parquet.part.whole",
        tmp_path / "cache" / ADA / ".y.parquet.part",
    ]
    fresh = tmp_path / "cache" / ".z.parquet.part"
    for path in (local, *cached, fresh):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    for path in (local, *cached):
        os.utime(path, (0, time.time() - 86_460))
    assert store(bucket, tmp_path).remove_abandoned() == 4
    assert files(tmp_path) == [fresh.relative_to(tmp_path)]


# -- the cache


def cached(home: Path, number: int, *, read: int, changed: int, size: int = 10) -> Path:
    """A copy that was last read and changed so many seconds after the beginning."""
    path = home / "cache" / ADA / f"{ID[:-1]}{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (read, changed))
    return path


@pytest.mark.parametrize(
    ("most", "left"), [(30, "123"), (29, "23"), (20, "23"), (19, "3"), (9, "")]
)
def test_what_was_used_longest_ago_goes_until_the_cache_keeps_its_bounds(
    bucket: Bucket, tmp_path: Path, most: int, left: str
) -> None:
    """Used is what was read, or written: some file systems do not note reads."""
    cached(tmp_path, 1, read=1, changed=20)
    cached(tmp_path, 2, read=30, changed=1)
    cached(tmp_path, 3, read=40, changed=40)
    artifacts = store(bucket, tmp_path, cache_bytes=most)
    assert artifacts.remove_abandoned() == 3 - len(left)
    assert [path.stem[-1] for path in files(tmp_path)] == list(left)


def test_there_is_room_for_what_is_fetched(bucket: Bucket, tmp_path: Path) -> None:
    cached(tmp_path, 2, read=10, changed=10)
    cached(tmp_path, 3, read=20, changed=20)
    bucket.objects[KEY] = ROWS
    artifacts = store(bucket, tmp_path, cache_bytes=20 + len(ROWS) - 1)
    artifacts.path(URI)
    assert [path.name for path in files(tmp_path)] == [f"{NAME}.parquet", f"{ID[:-1]}3.parquet"]


def test_a_copy_that_is_read_counts_as_used(bucket: Bucket, tmp_path: Path) -> None:
    path = cached(tmp_path, 1, read=1, changed=20)
    before = path.stat().st_mtime_ns
    store(bucket, tmp_path).path(f"s3://results/team/a/{ADA}/{path.name}")
    assert path.stat().st_atime > time.time() - 3_600
    assert path.stat().st_mtime_ns == before


# -- results in the state directory


def test_what_was_stored_here_before_is_found_and_the_bucket_is_not_asked(
    bucket: Bucket, tmp_path: Path
) -> None:
    with LocalArtifacts(tmp_path / "artifacts").write("ada", ID) as draft:
        draft.path.write_bytes(ROWS)
    artifacts = store(bucket, tmp_path)
    assert draft.uri == LOCAL
    assert (artifacts.exists(LOCAL), artifacts.is_whole(LOCAL)) == (True, True)
    assert artifacts.path(LOCAL).read_bytes() == ROWS
    assert artifacts.source(LOCAL) == artifacts.path(LOCAL)
    assert artifacts.download_url(LOCAL, filename="x") is None
    artifacts.hold(LOCAL, on=True)
    artifacts.path(LOCAL).write_bytes(b"PAR1 rovs")
    assert (artifacts.exists(LOCAL), artifacts.is_whole(LOCAL)) == (True, False)
    assert artifacts.purge(LOCAL)
    assert artifacts.remove(LOCAL) is False
    assert bucket.calls == []
    put(artifacts)
    with LocalArtifacts(tmp_path / "artifacts").write("ada", ID) as draft:
        draft.path.write_bytes(ROWS)
    assert list(artifacts.artifact_ids("ada")) == [(ID, LOCAL), (ID, URI)], "those here first"
    assert list(artifacts.artifact_ids("bob")) == []


@pytest.mark.parametrize(
    "uri",
    [f"s3://other/{KEY}", f"s3://results/{ADA}/{NAME}.parquet", f"{URI}x", "s3://results/team/a/"],
)
def test_a_uri_that_is_none_of_this_store_asks_for_nothing(
    bucket: Bucket, tmp_path: Path, uri: str
) -> None:
    artifacts = store(bucket, tmp_path)
    assert not any((artifacts.exists(uri), artifacts.remove(uri), artifacts.purge(uri)))
    for read in (artifacts.path, artifacts.source):
        with pytest.raises(NotFound, match="is no artifact of this store"):
            read(uri)
    with pytest.raises(NotFound, match=f"^'{'s3://' + 'x' * 95}' is no"):
        artifacts.path(f"s3://{'x' * 200}")
    assert bucket.calls == []


# -- what the service says


def part_refused() -> Exception:
    """As boto3 says it of a part of an upload."""
    try:
        try:
            raise refusal("AccessDenied")
        except ClientError:
            raise S3UploadFailedError("x")  # noqa: B904
    except S3UploadFailedError as error:
        return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("ExpiredToken"), "the credentials have expired; renew them"),
        (refusal("ExpiredTokenException"), "the credentials have expired; renew them"),
        (refusal("InvalidAccessKeyId"), "the access key is unknown; check the credentials"),
        (refusal("SignatureDoesNotMatch"), "the secret key is wrong; check the credentials"),
        (refusal("AccessDenied"), "access is denied; check the bucket's policy"),
        (refusal("403"), "access is denied; check the credentials and the bucket's policy"),
        (refusal("RequestTimeTooSkewed"), "this computer's clock is wrong; set it"),
        (refusal("SlowDown"), "the service asks to slow down; try again later"),
        (refusal("503"), "the service is overloaded; try again later"),
        (refusal("NoSuchBucket"), "no such bucket; create it or mend CDESK_ARTIFACTS_URL"),
        (refusal("T" * 99), f"the service says '{'T' * 60}'$"),
        (ClientError({}, "Operation"), "the service says ''$"),
        (NoCredentialsError(), "there are no credentials; configure them"),
        (
            PartialCredentialsError(provider="x", cred_var="y"),
            "there are no credentials; configure them",
        ),
        (EndpointConnectionError(endpoint_url="x"), "does not answer; try again later"),
        (ReadTimeoutError(endpoint_url="x"), "does not answer; try again later"),
        (ParamValidationError(report="x"), "s3://results: ParamValidationError$"),
        (S3UploadFailedError("x"), "s3://results: S3UploadFailedError$"),
        (part_refused(), "access is denied; check the bucket's policy"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else one[:30],
)
def test_each_refusal_says_what_to_do(
    bucket: Bucket, tmp_path: Path, error: Exception, said: str
) -> None:
    bucket.error = error
    with pytest.raises(ArtifactStoreError, match=said) as caught:
        put(store(bucket, tmp_path))
    assert str(caught.value).startswith("results cannot be stored in s3://results: ")


@pytest.mark.parametrize("code", ["404", "NoSuchKey", "NotFound"])
def test_what_is_missing_is_not_found(bucket: Bucket, tmp_path: Path, code: str) -> None:
    bucket.error = refusal(code)
    with pytest.raises(NotFound, match="the stored result is gone"):
        store(bucket, tmp_path).fetch_range(KEY, 0, 1, etag="x")


@pytest.mark.parametrize("code", ["412", "PreconditionFailed"])
def test_what_was_replaced_says_so(bucket: Bucket, tmp_path: Path, code: str) -> None:
    bucket.error = refusal(code)
    with pytest.raises(ArtifactUnreadable, match="replaced meanwhile; open it again"):
        store(bucket, tmp_path).fetch_range(KEY, 0, 1, etag="x")


def test_a_page_that_is_refused_says_so(bucket: Bucket, tmp_path: Path) -> None:
    artifacts = store(bucket, tmp_path)
    for ask in (
        lambda: list(artifacts.artifact_ids()),
        artifacts.remove_abandoned,
        lambda: artifacts.purge(URI),
    ):
        bucket.error = refusal("SlowDown")
        with pytest.raises(ArtifactStoreError, match="slow down"):
            ask()


# -- by configuration


def settings(home: StateDirectory, url: str = "s3://results/team/a", **given: Any) -> Settings:
    return Settings(home=home.root, customer="ada", artifacts_url=url, **given)


@pytest.mark.parametrize(
    ("given", "expected", "style"),
    [
        ({}, {"endpoint_url": None, "region_name": None}, "auto"),
        (
            {"artifacts_endpoint": "http://minio:9000", "artifacts_region": "eu-north-1"},
            {"endpoint_url": "http://minio:9000", "region_name": "eu-north-1"},
            "path",
        ),
    ],
)
def test_the_client_is_as_the_settings_say(
    bucket: Bucket,
    state_home: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    expected: dict[str, Any],
    style: str,
) -> None:
    made: list[dict[str, Any]] = []

    def client(service: str, **options: Any) -> Bucket:
        assert service == "s3"
        made.append(options)
        return bucket

    monkeypatch.setattr(boto3, "client", client)
    artifacts = open_s3(settings(state_home, **given), state_home)
    [options] = made
    config = options.pop("config")
    assert options == expected
    assert config.retries == {"mode": "standard", "total_max_attempts": 5}
    assert (config.connect_timeout, config.read_timeout) == (5.0, 30.0)
    assert (config.signature_version, config.s3) == ("s3v4", {"addressing_style": style})
    assert put(artifacts) == URI
    assert artifacts.path(URI).is_relative_to(state_home.artifacts_cache)
    assert artifacts.path(URI).stat().st_size == len(ROWS)


def test_the_settings_encryption_reaches_the_bucket(
    bucket: Bucket, state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boto3, "client", lambda *_, **__: bucket)
    local = LocalArtifacts(state_home.artifacts)
    with local.write("ada", ID) as draft:
        draft.path.write_bytes(ROWS)
    chosen = settings(
        state_home, "s3://results", artifacts_encryption="aws:kms", artifacts_kms_key="alias/k"
    )
    artifacts = factory.open_artifacts(chosen, state_home)
    assert put(artifacts) == f"s3://results/{ADA}/{NAME}.parquet"  # type: ignore[arg-type]
    assert artifacts.exists(draft.uri), "what was stored in the state directory before"
    extra = bucket.calls[0][1]["ExtraArgs"]
    assert (extra["ServerSideEncryption"], extra["SSEKMSKeyId"]) == ("aws:kms", "alias/k")


def test_a_missing_driver_and_a_wrong_setting_say_what_to_do(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> Callable[..., Any]:
        raise ValueError("Invalid endpoint: x")

    monkeypatch.setattr(boto3, "client", refused)
    with pytest.raises(
        ConfigurationError, match=r"^artifacts_endpoint or artifacts_region: Invalid endpoint: x$"
    ):
        factory.open_artifacts(settings(state_home), state_home)
    monkeypatch.setitem(sys.modules, "cdesk.artifacts.s3", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cdesk\[s3\]'"):
        factory.open_artifacts(settings(state_home), state_home)
    plain = factory.open_artifacts(settings(state_home, url=""), state_home)
    assert isinstance(plain, LocalArtifacts)
    assert plain.keep("ada", ID, ROWS) == LOCAL
    assert (state_home.artifacts / ADA).is_dir()


def test_the_rule_for_a_bucket_removes_what_expires_and_nothing_that_is_held() -> None:
    assert lifecycle_rule(90) == {
        "ID": "cdesk-results",
        "Status": "Enabled",
        "Filter": {"Tag": {"Key": s3.RETENTION_TAG, "Value": "expires"}},
        "Expiration": {"Days": 90},
    }
