"""Stored results in S3, Amazon's or any service that speaks its API:

    s3://<bucket>/<prefix>/<customer key>/<artifact_id>-<digest>.parquet

A result is written to a local file first and put as one object (in parts, where it is large), with
its checksum; an object is there whole or not at all. It is encrypted by the service, and tagged, so
that a lifecycle rule of the bucket can remove what no cdesk removes any more. To be read as a whole
it is fetched into a cache in the state directory, checked against the digest of its address
(cdesk/artifacts/addresses.py) there and at every start, and kept as long as there is room;
where parts of a large one are wanted (a card), they are read from the object itself.

Results that were stored locally before are found all the same.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from cdesk.artifacts.addresses import (
    NAME_PATTERN,
    WHOLE_BYTES,
    Checks,
    digest_in,
    digest_of,
    id_in,
    name_of,
    require_id,
)
from cdesk.artifacts.local import LocalArtifacts, erase_folder
from cdesk.artifacts.ranges import RemoteFile, Source
from cdesk.artifacts.store import Draft
from cdesk.core.config import Settings
from cdesk.core.errors import ArtifactStoreError, ArtifactUnreadable, NotFound
from cdesk.core.home import StateDirectory, write_private
from cdesk.core.identity import customer_key

PART_BYTES: Final = 16 * 1024 * 1024
"""A larger result is put in parts of this size."""
CACHE_BYTES: Final = 4 * 1024**3
LINK_SECONDS: Final = 900
ABANDONED: Final = timedelta(days=1)
ATTEMPTS: Final = 5
RETENTION_TAG: Final = "cdesk-retention"
"""`expires` on results that may go after their time, `hold` on those under legal hold."""
_CONNECT_SECONDS: Final = 5.0
_READ_SECONDS: Final = 30.0
_MISSING: Final = frozenset(("404", "NoSuchKey", "NotFound"))
_CHANGED: Final = frozenset(("412", "PreconditionFailed"))
_REASONS: Final = {
    "ExpiredToken": "the credentials have expired; renew them",
    "ExpiredTokenException": "the credentials have expired; renew them",
    "InvalidAccessKeyId": "the access key is unknown; check the credentials",
    "SignatureDoesNotMatch": "the secret key is wrong; check the credentials",
    "AccessDenied": "access is denied; check the bucket's policy",
    "403": "access is denied; check the credentials and the bucket's policy",
    "RequestTimeTooSkewed": "this computer's clock is wrong; set it",
    "SlowDown": "the service asks to slow down; try again later",
    "503": "the service is overloaded; try again later",
    "NoSuchBucket": "there is no such bucket; create it or mend CDESK_ARTIFACTS_URL",
}

T = TypeVar("T")


class S3Artifacts:
    """The artifact store of a bucket. Safe to use from several threads.

    Every method that asks the service raises ArtifactStoreError where it does not answer, or
    refuses; passing faults are tried again (five times at most) first.
    """

    def __init__(
        self,
        client: Any,
        *,
        bucket: str,
        prefix: str,
        cache: Path,
        local: LocalArtifacts,
        encryption: str = "AES256",
        kms_key: str = "",
        part_bytes: int = PART_BYTES,
        cache_bytes: int = CACHE_BYTES,
        whole_bytes: int = WHOLE_BYTES,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._cache = cache
        self._local = local
        self._encryption = {} if encryption == "none" else {"ServerSideEncryption": encryption}
        if encryption == "aws:kms" and kms_key:
            self._encryption["SSEKMSKeyId"] = kms_key
        self._transfer = TransferConfig(
            multipart_threshold=part_bytes, multipart_chunksize=part_bytes, max_concurrency=4
        )
        self._cache_bytes = cache_bytes
        self._whole_bytes = whole_bytes
        self._checks = Checks(at_once=whole_bytes)
        self._fetching = threading.Lock()
        prefix_pattern = re.escape(self._prefix)
        self._key = re.compile(rf"{prefix_pattern}([0-9a-f]{{16}})/({NAME_PATTERN})\.parquet\Z")
        self._scheme = f"s3://{bucket}/"

    keeps_small = False

    def keep(self, customer: str, artifact_id: str, content: bytes) -> str:
        """Put like any other result: a bucket has no packs."""
        with self.write(customer, artifact_id) as draft:
            write_private(draft.path, content)
        return draft.uri

    def exists(self, uri: str) -> bool:
        if not uri.startswith("s3://"):
            return self._local.exists(uri)
        try:
            key = self._key_of(uri)
        except NotFound:
            return False
        return self._head(key) is not None

    def is_whole(self, uri: str) -> bool:
        """Whether it is there: an object changes by whoever may write to the bucket alone, and is
        checked when it is fetched.
        """
        return self.exists(uri) if uri.startswith("s3://") else self._local.is_whole(uri)

    @contextlib.contextmanager
    def write(self, customer: str, artifact_id: str) -> Iterator[Draft]:
        """A draft to write to; at the end of the block it is put. After an error nothing is left of
        it, here or there.

        Raises:
            ArtifactStoreError: it cannot be put.
        """
        owner = customer_key(customer)
        require_id(artifact_id)
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".parquet.part", dir=self._cache)
        os.close(handle)
        draft = Draft(Path(name))
        try:
            yield draft
            stored_as = name_of(owner, artifact_id, draft.path)
            key = f"{self._prefix}{owner}/{stored_as}.parquet"
            self._put(draft.path, key)
            self._keep(draft.path, key)
            draft.uri = f"{self._scheme}{key}"
        finally:
            with contextlib.suppress(OSError):
                draft.path.unlink(missing_ok=True)

    def path(self, uri: str) -> Path:
        """A local copy of the result, fetched where it is not here yet.

        Raises:
            NotFound: the URI is none of this store, or nothing lies there.
            ArtifactUnreadable: what came is not what was put.
        """
        if not uri.startswith("s3://"):
            return self._local.path(uri)
        return self._copy(self._key_of(uri), whole=True)

    def source(self, uri: str) -> Source:
        """The local copy where there is one, or where the result is small; else the object itself,
        read range by range.

        Raises:
            NotFound: the URI is none of this store, or nothing lies there.
        """
        if not uri.startswith("s3://"):
            return self._local.source(uri)
        key = self._key_of(uri)
        if self._copy_of(key).is_file():
            return self._copy(key, whole=False)
        about = self._head(key)
        if about is None:
            raise NotFound("the stored result is gone; run its query again with --fresh")
        if int(about["ContentLength"]) <= self._whole_bytes:
            return self.path(uri)
        return _RemoteObject(self, key, size=int(about["ContentLength"]), etag=about["ETag"])

    def fetch_range(self, key: str, start: int, end: int, *, etag: str) -> bytes:
        """Bytes of an object, from `start` to before `end`, as long as it is the same object."""

        def get() -> bytes:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=etag
            )
            return bytes(answer["Body"].read())

        content = self._ask(get)
        if len(content) != end - start:
            raise ArtifactUnreadable(
                "the stored file is not what was put there; run its query again with --fresh"
            )
        return content

    def remove(self, uri: str) -> bool:
        if not uri.startswith("s3://"):
            return self._local.remove(uri)
        try:
            key = self._key_of(uri)
        except NotFound:
            return False
        if self._head(key) is None:
            return False
        self._ask(lambda: self._client.delete_object(Bucket=self._bucket, Key=key))
        with contextlib.suppress(OSError):
            self._copy_of(key).unlink(missing_ok=True)
        return True

    def purge(self, uri: str) -> bool:
        if not uri.startswith("s3://"):
            return self._local.purge(uri)
        try:
            key = self._key_of(uri)
        except NotFound:
            return False
        with contextlib.suppress(OSError):
            self._copy_of(key).unlink(missing_ok=True)
        return self._delete_versions(key) > 0

    def artifact_ids(self, customer: str | None = None) -> Iterator[tuple[str, str]]:
        """(artifact_id, URI) of every stored result, or of one customer's, those in the state
        directory first.
        """
        yield from self._local.artifact_ids(customer)
        own = "" if customer is None else f"{customer_key(customer)}/"
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{self._prefix}{own}"
        )
        for page in self._asked(pages):
            for entry in page.get("Contents", ()):
                if match := self._key.match(entry["Key"]):
                    yield id_in(match.group(2)), f"{self._scheme}{entry['Key']}"

    def remove_abandoned(self) -> int:
        """End uploads that began a day ago and never ended, and keep the cache in its bounds; how
        many uploads and files went.
        """
        removed = self._local.remove_abandoned() + self._trim()
        limit = datetime.now(UTC) - ABANDONED
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        for page in self._asked(pages):
            for upload in page.get("Uploads", ()):
                if upload["Initiated"] < limit and self._key.match(upload["Key"]):
                    self._abort(upload["Key"], upload["UploadId"])
                    removed += 1
        return removed

    def erase(self, customer: str) -> int:
        """As ArtifactStore.erase: every version of each object, where the bucket keeps versions."""
        key = customer_key(customer)
        removed = self._local.erase(customer) + erase_folder(self._cache, customer)
        prefix = f"{self._prefix}{key}/"
        removed += self._delete_versions(prefix)
        uploads = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        for page in self._asked(uploads):
            for upload in page.get("Uploads", ()):
                self._abort(upload["Key"], upload["UploadId"])
                removed += 1
        return removed

    def hold(self, uri: str, *, on: bool) -> None:
        """Put an object under legal hold, or free it: a lifecycle rule goes by its tag."""
        if not uri.startswith("s3://"):
            return
        key = self._key_of(uri)
        tags = [{"Key": RETENTION_TAG, "Value": "hold" if on else "expires"}]
        self._ask(
            lambda: self._client.put_object_tagging(
                Bucket=self._bucket, Key=key, Tagging={"TagSet": tags}
            )
        )

    def download_url(self, uri: str, *, filename: str, seconds: int = LINK_SECONDS) -> str | None:
        """A pre-signed address that downloads the result under `filename`; None for one that is not
        in the bucket.
        """
        if not uri.startswith("s3://"):
            return None
        given = {
            "Bucket": self._bucket,
            "Key": self._key_of(uri),
            "ResponseContentDisposition": f'attachment; filename="{_plain(filename)}"',
            "ResponseContentType": "application/vnd.apache.parquet",
        }
        return str(
            self._ask(
                lambda: self._client.generate_presigned_url(
                    "get_object", Params=given, ExpiresIn=seconds
                )
            )
        )

    # -- inside

    def _key_of(self, uri: str) -> str:
        key = uri.removeprefix(self._scheme)
        if not uri.startswith(self._scheme) or not self._key.match(key):
            raise NotFound(f"{uri[:100]!r} is no artifact of this store")
        return key

    def _copy(self, key: str, *, whole: bool) -> Path:
        """The local copy, fetched where it is not here yet, and once more where it was damaged."""
        copy = self._copy_of(key)
        if copy.is_file():
            try:
                self._checks.require(copy, whole=whole)
            except ArtifactUnreadable:
                copy.unlink(missing_ok=True)
            else:
                _was_used(copy)
                return copy
        with self._fetching:
            if not copy.is_file():
                self._fetch(key, copy)
        return copy

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._ask(
                lambda: self._client.head_object(Bucket=self._bucket, Key=key)
            )
        except NotFound:
            return None
        return found

    def _put(self, path: Path, key: str) -> None:
        digest = _sha256(path)
        extra = {
            **self._encryption,
            "ContentType": "application/vnd.apache.parquet",
            "ChecksumAlgorithm": "SHA256",
            "Metadata": {"sha256": digest},
            "Tagging": urlencode({RETENTION_TAG: "expires"}),
        }
        self._ask(
            lambda: self._client.upload_file(
                str(path), self._bucket, key, ExtraArgs=extra, Config=self._transfer
            )
        )

    def _fetch(self, key: str, copy: Path) -> None:
        about = self._head(key)
        if about is None:
            raise NotFound("the stored result is gone; run its query again with --fresh")
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._trim(room=int(about["ContentLength"]))
        handle, name = tempfile.mkstemp(prefix=".", suffix=".parquet.part", dir=copy.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            self._ask(
                lambda: self._client.download_file(
                    self._bucket, key, str(temporary), Config=self._transfer
                )
            )
            expected = about.get("Metadata", {}).get("sha256")
            digest = digest_in(copy.stem)
            if (
                digest_of(copy.parent.name, temporary) != digest
                if digest
                else expected is not None and _sha256(temporary) != expected
            ):
                raise ArtifactUnreadable(
                    "the stored file is not what was put there; run its query again with --fresh"
                )
            temporary.replace(copy)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _keep(self, path: Path, key: str) -> None:
        """What was just put is in the cache already."""
        copy = self._copy_of(key)
        with contextlib.suppress(OSError):
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.replace(copy)

    def _copy_of(self, key: str) -> Path:
        match = self._key.match(key)
        assert match is not None
        return self._cache / match.group(1) / f"{match.group(2)}.parquet"

    def _trim(self, *, room: int = 0) -> int:
        """Remove what was used longest ago until the cache, with `room` more, keeps its bounds."""
        entries = []
        for path in self._cache.rglob("*.parquet"):
            with contextlib.suppress(OSError):
                status = path.stat()
                used = max(status.st_atime, status.st_mtime)
                entries.append((used, status.st_size, path))
        left = sum(size for _, size, _ in entries) + room
        removed = 0
        for _, size, path in sorted(entries):
            if left <= self._cache_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                left -= size
                removed += 1
        for path in self._cache.rglob(".*.part*"):  # `.part.whole`: before it is sampled
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED.total_seconds():
                    path.unlink()
                    removed += 1
        return removed

    def _delete_versions(self, prefix: str) -> int:
        """Delete every version of the objects whose keys begin so; how many versions."""
        versions = self._client.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        removed = 0
        for page in self._asked(versions):
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                self._delete(one["Key"], one["VersionId"])
                removed += 1
        return removed

    def _delete(self, key: str, version: str) -> None:
        self._ask(
            lambda: self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
        )

    def _abort(self, key: str, upload_id: str) -> None:
        self._ask(
            lambda: self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id
            )
        )

    def _asked(self, pages: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        whole = iter(pages)
        while (page := self._ask(lambda: next(whole, None))) is not None:
            yield page

    def _ask(self, step: Callable[[], T]) -> T:
        """`step`, with what the service says as an error of ours."""
        try:
            return step()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise NotFound("the stored result is gone") from None
            if code in _CHANGED:
                raise ArtifactUnreadable(
                    "the stored file was replaced meanwhile; open it again"
                ) from None
            raise self._refused(code) from None
        except (NoCredentialsError, PartialCredentialsError):
            raise self._refused("", "there are no credentials; configure them") from None
        except (ConnectionError, HTTPClientError):
            raise self._refused("", "the service does not answer; try again later") from None
        except (Boto3Error, BotoCoreError) as error:
            # An upload's error wraps what the service said of one part.
            said = error.__context__
            code = said.response["Error"]["Code"] if isinstance(said, ClientError) else ""
            raise self._refused(code, "" if code else type(error).__name__) from None

    def _refused(self, code: str, reason: str = "") -> ArtifactStoreError:
        why = _REASONS.get(code) or reason or f"the service says {code[:60]!r}"
        return ArtifactStoreError(f"results cannot be stored in s3://{self._bucket}: {why}")


class _RemoteObject(RemoteFile):
    """One object, read range by range."""

    def __init__(self, store: S3Artifacts, key: str, *, size: int, etag: str) -> None:
        super().__init__(key.rpartition("/")[2], size, etag)
        self._store = store
        self._key = key

    def fetch(self, start: int, end: int) -> bytes:
        return self._store.fetch_range(self._key, start, end, etag=self.version)


def open_s3(settings: Settings, home: StateDirectory) -> S3Artifacts:
    """The store that `settings.artifacts_url` names. Nothing is connected yet.

    Credentials come from where boto3 looks for them.
    """
    bucket, _, prefix = settings.artifacts_url.removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3",
        endpoint_url=settings.artifacts_endpoint or None,
        region_name=settings.artifacts_region or None,
        config=Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            signature_version="s3v4",
            s3={"addressing_style": "path" if settings.artifacts_endpoint else "auto"},
        ),
    )
    return S3Artifacts(
        client,
        bucket=bucket,
        prefix=prefix,
        cache=home.artifacts_cache,
        local=LocalArtifacts(home.artifacts),
        encryption=settings.artifacts_encryption,
        kms_key=settings.artifacts_kms_key,
    )


def lifecycle_rule(days: int) -> dict[str, Any]:
    """A rule for the bucket: what is tagged as expiring goes after `days`, unfinished uploads after
    one. Nobody needs it where a worker cleans up; it is for what nobody cleans up any more.
    """
    return {
        "ID": "cdesk-results",
        "Status": "Enabled",
        "Filter": {"Tag": {"Key": RETENTION_TAG, "Value": "expires"}},
        "Expiration": {"Days": days},
    }


def _was_used(copy: Path) -> None:
    """Note that a copy was read, whether or not the file system notes such things."""
    with contextlib.suppress(OSError):
        os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()


def _plain(filename: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", filename)[:120]
