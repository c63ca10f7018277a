"""Results in a bucket: a real client against a service on loopback, its faults included."""

from __future__ import annotations

import base64
import hashlib
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.config import Config

from cdesk.artifacts.factory import open_artifacts
from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.ranges import RemoteFile
from cdesk.artifacts.records import Artifact, keep_artifact
from cdesk.artifacts.s3 import RETENTION_TAG, S3Artifacts, lifecycle_rule
from cdesk.core.config import Settings
from cdesk.core.errors import ArtifactStoreError, ArtifactUnreadable, ConfigurationError, NotFound
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk.state.database import open_state
from cdesk_app.render.card import Cards, Gone
from cdesk_app.render.links import Grant
from cdesk_app.render.table import Filter, Table, View
from tests.query_desk import Desk, desk
from tests.s3_service import Fault, S3Service, s3_service

__all__ = ["desk"]

ID = "0190a5f0-0000-7000-8000-000000000001"
BUCKET = "results"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service() -> Iterator[S3Service]:
    with s3_service() as running:
        yield running


@pytest.fixture
def client(service: S3Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an own bucket; keys are made up for the run."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", secrets.token_hex(8))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secrets.token_hex(16))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    made = boto3.client(
        "s3",
        endpoint_url=service.url,
        region_name="us-east-1",
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 3},
            connect_timeout=1,
            read_timeout=1.5,
            signature_version="s3v4",
            s3={"addressing_style": "path"},
        ),
    )
    made.create_bucket(Bucket=BUCKET)
    service.asked.clear()
    yield made
    service.faults.clear()
    for entry in made.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        made.delete_object(Bucket=BUCKET, Key=entry["Key"])
    made.delete_bucket(Bucket=BUCKET)
    made.close()


def store(client: Any, home: Path, **options: Any) -> S3Artifacts:
    given = {"part_bytes": 5 * MIB, **options}
    return S3Artifacts(
        client,
        bucket=BUCKET,
        prefix="team/a",
        cache=home / "cache",
        local=LocalArtifacts(home / "artifacts"),
        **given,
    )


def put(artifacts: S3Artifacts, rows: int = 10, id: str = ID, customer: str = "ada") -> str:
    with artifacts.write(customer, id) as draft:
        pq.write_table(pa.table({"n": range(rows)}), draft.path)
    return draft.uri


def elsewhere(client: Any, tmp_path: Path) -> S3Artifacts:
    """The store of another computer: it has nothing in its cache."""
    return store(client, tmp_path / "elsewhere")


def key(artifacts: S3Artifacts, uri: str) -> str:
    del artifacts
    return uri.removeprefix(f"s3://{BUCKET}/")


def keys(client: Any) -> list[str]:
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_a_result_is_read_elsewhere_as_it_was_written(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    uri = put(artifacts)
    assert uri.startswith(f"s3://{BUCKET}/team/a/")
    assert "ada" not in uri
    other = elsewhere(client, tmp_path)
    assert other.exists(uri)
    assert pq.read_table(other.path(uri)).column("n").to_pylist() == list(range(10))
    assert list(other.artifact_ids()) == [(ID, uri)]
    theirs = put(artifacts, id=f"{ID[:-1]}2", customer="bob")
    assert list(other.artifact_ids("ada")) == [(ID, uri)]
    assert [found for _, found in other.artifact_ids("bob")] == [theirs]
    assert list(other.artifact_ids("nobody")) == []


def test_an_object_is_encrypted_checked_and_tagged(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    uri = put(artifacts)
    found = client.head_object(Bucket=BUCKET, Key=key(artifacts, uri), ChecksumMode="ENABLED")
    assert found["ServerSideEncryption"] == "AES256"
    assert found["ChecksumSHA256"] == found["Metadata"]["sha256"]
    tags = client.get_object_tagging(Bucket=BUCKET, Key=key(artifacts, uri))["TagSet"]
    assert tags == [{"Key": RETENTION_TAG, "Value": "expires"}]
    artifacts.hold(uri, on=True)
    tags = client.get_object_tagging(Bucket=BUCKET, Key=key(artifacts, uri))["TagSet"]
    assert tags == [{"Key": RETENTION_TAG, "Value": "hold"}]
    rules = {"Rules": [lifecycle_rule(90)]}
    client.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration=rules)


def test_a_key_of_ones_own_encrypts(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path, encryption="aws:kms", kms_key="alias/results")
    found = client.head_object(Bucket=BUCKET, Key=key(artifacts, put(artifacts)))
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/results")


def test_a_large_result_goes_in_parts(client: Any, service: S3Service, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    content = secrets.token_bytes(12 * MIB)
    with artifacts.write("ada", ID) as draft:
        draft.path.write_bytes(content)
    assert sum(method == "PUT" for method, _ in service.asked) == 3
    assert elsewhere(client, tmp_path).path(draft.uri).read_bytes() == content


def test_nothing_is_left_of_a_result_that_was_not_finished(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)

    def interrupted() -> None:
        with artifacts.write("ada", ID) as draft:
            draft.path.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert keys(client) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("SlowDown", 503),
        Fault("InternalError", 500),
        Fault("RequestTimeout", 400),
        Fault("x", 200, seconds=2.0),
    ],
    ids=["slow down", "internal error", "request timeout", "no answer in time"],
)
def test_a_passing_fault_is_tried_again(
    client: Any, service: S3Service, tmp_path: Path, fault: Fault
) -> None:
    service.faults.append(fault)
    uri = put(store(client, tmp_path))
    assert service.faults == []
    assert elsewhere(client, tmp_path).path(uri).is_file()


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("SlowDown", 503, "slow down"),
        ("AccessDenied", 403, "access is denied"),
        ("NoSuchBucket", 404, "no such bucket"),
    ],
)
def test_a_lasting_fault_says_what_to_do_and_leaves_nothing(
    client: Any, service: S3Service, tmp_path: Path, code: str, status: int, said: str
) -> None:
    artifacts = store(client, tmp_path)
    service.faults += [Fault(code, status) for _ in range(20)]
    with pytest.raises(ArtifactStoreError, match=said) as caught:
        put(artifacts)
    assert f"s3://{BUCKET}" in str(caught.value)
    service.faults.clear()
    assert keys(client) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_part_that_cannot_be_put_leaves_no_upload(
    client: Any, service: S3Service, tmp_path: Path
) -> None:
    artifacts = store(client, tmp_path)
    service.faults += [
        Fault("AccessDenied", 403, when=lambda method, _: method == "PUT") for _ in range(20)
    ]

    def write() -> None:
        with artifacts.write("ada", ID) as draft:
            draft.path.write_bytes(secrets.token_bytes(12 * MIB))

    with pytest.raises(ArtifactStoreError, match="access is denied"):
        write()
    service.faults.clear()
    assert keys(client) == []
    assert client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_a_service_that_is_not_there_says_so(client: Any, tmp_path: Path) -> None:
    del client
    nobody = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    with pytest.raises(ArtifactStoreError, match="does not answer"):
        put(store(nobody, tmp_path))
    nobody.close()


def test_what_came_is_what_was_put(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    uri = put(artifacts)
    about = client.head_object(Bucket=BUCKET, Key=key(artifacts, uri))
    other = base64.b64encode(hashlib.sha256(b"PAR1other").digest()).decode()
    for said in (about["Metadata"], {"sha256": other}):  # whatever the object says of itself
        client.put_object(Bucket=BUCKET, Key=key(artifacts, uri), Body=b"PAR1other", Metadata=said)
        with pytest.raises(ArtifactUnreadable, match="not what was put"):
            elsewhere(client, tmp_path).path(uri)
    assert list((tmp_path / "elsewhere").rglob("*.parquet*")) == []


def test_a_damaged_copy_is_fetched_once_more(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    uri = put(artifacts)
    whole = artifacts.path(uri).read_bytes()
    for read in (artifacts.path, artifacts.source):
        artifacts.path(uri).write_bytes(b"PAR1" + whole[:90])
        read(uri)
        assert artifacts.path(uri).read_bytes() == whole


def test_an_object_of_an_earlier_version_is_checked_by_what_it_says(
    client: Any, tmp_path: Path
) -> None:
    artifacts = store(client, tmp_path)
    place = f"team/a/{customer_key('ada')}/{ID}.parquet"
    said = base64.b64encode(hashlib.sha256(b"PAR1").digest()).decode()
    client.put_object(Bucket=BUCKET, Key=place, Body=b"PAR1", Metadata={"sha256": said})
    uri = f"s3://{BUCKET}/{place}"
    assert list(artifacts.artifact_ids()) == [(ID, uri)]
    assert artifacts.path(uri).read_bytes() == b"PAR1"
    client.put_object(Bucket=BUCKET, Key=place, Body=b"PAR2", Metadata={"sha256": said})
    with pytest.raises(ArtifactUnreadable, match="not what was put"):
        elsewhere(client, tmp_path).path(uri)


def test_what_was_removed_is_gone(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    uri = put(artifacts)
    assert artifacts.remove(uri)
    assert not artifacts.exists(uri)
    assert not artifacts.remove(uri)
    with pytest.raises(NotFound):
        artifacts.path(uri)


def test_an_erasure_leaves_no_version_of_a_result(client: Any, tmp_path: Path) -> None:
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def versions() -> int:
        found = client.list_object_versions(Bucket=BUCKET)
        return len(found.get("Versions", [])) + len(found.get("DeleteMarkers", []))

    artifacts = store(client, tmp_path)
    of_ada, of_bob = put(artifacts), put(artifacts, id=f"{ID[:-1]}2", customer="bob")
    removed = put(artifacts, rows=11, id=f"{ID[:-1]}3")
    assert artifacts.remove(removed)
    assert versions() == 4, "a version that was removed is still there, under its marker"
    assert artifacts.erase("ada") >= 3, "and what lay in the cache"
    assert versions() == 1
    assert not artifacts.exists(of_ada)
    assert artifacts.path(of_bob).exists(), "fetched, and kept in the cache"
    assert artifacts.purge(of_bob)
    assert versions() == 0
    assert list((tmp_path / "cache").rglob("*.parquet")) == []


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://other/team/a/{'0' * 16}/{ID}.parquet",
        f"s3://{BUCKET}/team/b/{'0' * 16}/{ID}.parquet",
        f"s3://{BUCKET}/team/a/../{ID}.parquet",
        f"s3://{BUCKET}/team/a/{'0' * 16}/{ID}.parquet/x",
    ],
)
def test_what_is_none_of_ours_is_never_touched(client: Any, tmp_path: Path, uri: str) -> None:
    artifacts = store(client, tmp_path)
    assert not artifacts.exists(uri)
    assert not artifacts.remove(uri)
    with pytest.raises(NotFound):
        artifacts.path(uri)
    client.put_object(Bucket=BUCKET, Key="team/a/notes.txt", Body=b"theirs")
    assert list(artifacts.artifact_ids()) == []
    assert artifacts.remove_abandoned() == 0
    assert keys(client) == ["team/a/notes.txt"]


def large(client: Any, tmp_path: Path) -> tuple[S3Artifacts, str, pa.Table]:
    """Another computer's view of a result that it does not fetch whole."""
    artifacts = store(client, tmp_path)
    rows = pa.table(
        {
            "n": range(40_000),
            "text": [secrets.token_hex(60) for _ in range(40_000)],
            "group": [n % 7 for n in range(40_000)],
        }
    )
    with artifacts.write("ada", ID) as draft:
        pq.write_table(rows, draft.path, row_group_size=5_000, compression="none")
    return store(client, tmp_path / "elsewhere", whole_bytes=1), draft.uri, rows


def test_parts_of_a_large_result_are_read_where_it_lies(
    client: Any, service: S3Service, tmp_path: Path
) -> None:
    other, uri, rows = large(client, tmp_path)
    service.asked.clear()
    source = other.source(uri)
    assert isinstance(source, RemoteFile)
    table = Table(source)
    page = table.page(View(), 31_234, 3)
    assert [row[0] for row in page.rows] == [31_234, 31_235, 31_236]
    assert page.rows[0][1] == rows["text"][31_234].as_py()
    gets = [one for one in service.asked if one[0] == "GET"]
    assert 0 < len(gets) <= 4, "a footer and a row group"
    last = table.page(View(sort=0, descending=True, filters=(Filter(2, "eq", "3"),)), 0, 2)
    assert [row[0] for row in last.rows] == [39_994, 39_987]
    assert last.total == sum(n % 7 == 3 for n in range(40_000))
    found = rows["text"][777].as_py()
    assert table.page(View(text=found[:40]), 0, 2).rows[0][0] == 777
    assert table.aggregate("select sum(c0), count(*) from source") == [(799_980_000, 40_000)]
    assert not list((tmp_path / "elsewhere").rglob("*.parquet"))
    assert pq.read_table(other.path(uri)).num_rows == 40_000
    assert isinstance(other.source(uri), Path), "what was fetched whole is read here"


def test_a_result_that_changes_or_goes_under_a_reader_says_so(client: Any, tmp_path: Path) -> None:
    other, uri, _ = large(client, tmp_path)
    table = Table(other.source(uri))
    again = store(client, tmp_path / "again")
    pq.write_table(pa.table({"n": range(900_000)}), tmp_path / "other.parquet")
    client.upload_file(str(tmp_path / "other.parquet"), BUCKET, key(again, uri))
    for ask in (lambda: table.page(View(), 30_000, 1), lambda: table.page(View(sort=1), 0, 1)):
        with pytest.raises(ArtifactUnreadable, match="replaced meanwhile"):
            ask()
    again.remove(uri)
    with pytest.raises(NotFound):
        other.source(uri)
    with pytest.raises((NotFound, ArtifactUnreadable), match=r"gone|replaced"):
        table.page(View(), 10_000, 1)


def test_a_fault_while_parts_are_read_is_tried_again_and_a_lasting_one_is_named(
    client: Any, service: S3Service, tmp_path: Path
) -> None:
    other, uri, _ = large(client, tmp_path)
    table = Table(other.source(uri))

    def reads(method: str, _: str) -> bool:
        return method == "GET"

    service.faults[:] = [Fault("SlowDown", when=reads)]
    assert table.page(View(sort=0), 20_000, 1).rows[0][0] == 20_000
    table = Table(other.source(uri))
    for ask in (lambda: table.page(View(), 30_000, 1), lambda: table.page(View(sort=1), 0, 1)):
        service.faults[:] = [Fault("ExpiredToken", status=400, when=reads) for _ in range(50)]
        with pytest.raises(ArtifactStoreError, match="credentials have expired"):
            ask()
    service.faults.clear()
    assert table.page(View(), 30_000, 1).rows[0][0] == 30_000


def test_a_card_opens_from_the_bucket_and_says_what_keeps_it_from_that(
    client: Any, service: S3Service, tmp_path: Path, state_home: StateDirectory
) -> None:
    other, uri, rows = large(client, tmp_path)
    made = Artifact(ID, "ada", uri, "parquet", "0" * 16, len(rows), 1, False, "2026-01-01", "9999")
    with closing(open_state(state_home.state_db)) as state:
        keep_artifact(state, made)
    cards, grant = Cards(state_home, other, UTC), Grant("card", ID, customer_key("ada"), "9999")
    card = cards.open(ID, grant)
    assert card.table.row_count == len(rows)
    assert card.table.page(View(sort=0, descending=True), 0, 1).rows[0][0] == len(rows) - 1
    assert cards.chart(card).headline
    assert cards.open(ID, grant).table is card.table, "its footer is read once"
    assert str(cards.download_url(card, "x.parquet")).startswith(service.url)
    assert not list((tmp_path / "elsewhere").rglob("*.parquet"))
    service.faults[:] = [Fault("403", status=403) for _ in range(20)]
    with pytest.raises(ArtifactStoreError, match="access is denied"):
        cards.open(ID, grant)
    service.faults.clear()
    other.remove(uri)
    with pytest.raises(Gone):
        cards.open(ID, grant)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("ExpiredToken", status=400), "credentials have expired; renew them"),
        (Fault("x", status=200, seconds=2.0), "does not answer; try again later"),
    ],
    ids=["expired credentials", "timeout"],
)
def test_a_ticket_says_what_keeps_its_result_from_being_stored(
    client: Any, service: S3Service, tmp_path: Path, desk: Desk, fault: Fault, said: str
) -> None:
    artifacts = store(client, tmp_path)
    runner = desk.runner(artifacts=artifacts)
    ticket = desk.submit("numbers", {"rows": 9_000})
    service.faults[:] = [fault] * 30
    runner.poll()
    assert runner.wait_idle(30)
    failed = desk.ticket(ticket)
    assert (failed.status, failed.error_code) == ("failed", "artifact_store_unavailable")
    assert said in (failed.error_message or "")
    service.faults.clear()
    assert keys(client) == []
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    assert desk.records("artifact") == []
    again = desk.submit("numbers", {"rows": 9_000})
    runner.poll()
    assert runner.wait_idle(30)
    result = desk.ticket(again).result
    runner.close()
    assert result is not None
    assert artifacts.is_whole(result["artifact"]["uri"])
    assert len(keys(client)) == 1


def test_a_link_downloads_under_a_name_and_for_a_time(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path)
    url = artifacts.download_url(put(artifacts), filename='x"\r\ny.parquet', seconds=60)
    assert url is not None
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="x___y.parquet"'
        assert answer.read().startswith(b"PAR1")
    assert "X-Amz-Expires=60" in url
    with pytest.raises(HTTPError), urllib.request.urlopen(url.partition("?")[0], timeout=10):
        pass


def test_the_cache_keeps_its_bounds(client: Any, tmp_path: Path) -> None:
    artifacts = store(client, tmp_path, cache_bytes=3 * MIB)
    ids = [f"{ID[:-1]}{n}" for n in range(4)]
    uris = []
    for id in ids:
        with artifacts.write("ada", id) as draft:
            draft.path.write_bytes(secrets.token_bytes(MIB))
        uris.append(draft.uri)
    artifacts.remove_abandoned()
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) == 3
    for uri in uris:
        assert artifacts.path(uri).stat().st_size == MIB
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) <= 3


def test_results_of_before_are_found(client: Any, tmp_path: Path) -> None:
    local = LocalArtifacts(tmp_path / "artifacts")
    with local.write("ada", ID) as draft:
        draft.path.write_bytes(b"PAR1")
    uri = draft.uri
    artifacts = store(client, tmp_path)
    assert artifacts.exists(uri)
    assert artifacts.path(uri).read_bytes() == b"PAR1"
    assert artifacts.download_url(uri, filename="x") is None
    assert artifacts.remove(uri)


def test_the_settings_choose_the_store(
    client: Any, service: S3Service, state_home: StateDirectory
) -> None:
    del client
    settings = Settings(
        home=state_home.root,
        customer="ada",
        artifacts_url=f"s3://{BUCKET}/x",
        artifacts_endpoint=service.url,
        artifacts_region="us-east-1",
    )
    made = open_artifacts(settings, state_home)
    assert isinstance(made, S3Artifacts)
    uri = put(made)
    assert uri.startswith(f"s3://{BUCKET}/x/")
    assert made.path(uri).is_relative_to(state_home.root)
    plain = Settings(home=state_home.root, customer="ada")
    assert isinstance(open_artifacts(plain, state_home), LocalArtifacts)


def test_an_endpoint_that_is_none_is_refused(state_home: StateDirectory) -> None:
    settings = Settings(
        home=state_home.root,
        customer="ada",
        artifacts_url="s3://results",
        artifacts_endpoint="http://exa mple",
        artifacts_region="us-east-1",
    )
    with pytest.raises(ConfigurationError, match="artifacts_endpoint"):
        open_artifacts(settings, state_home)
