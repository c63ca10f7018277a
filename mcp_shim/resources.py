"""What a client can read beside the tools: templates, the card's page, and the caller's own results
in the pages of ten that get_result shows.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

import orjson

from cdesk.core.errors import NotFound, StateDirectoryError
from cdesk.state.pages import page_count
from mcp_shim.context import WRITTEN_NOTE
from mcp_shim.result_pages import page_of, page_progress
from mcp_shim.session import Session
from mcp_shim.tools.card import CARD_URI, MIME_TYPE, RESOURCE_META, card_page
from mcp_shim.tools.template_list import allowed_templates
from mcp_shim.tools.tool import TEMPLATES_URI

Json = dict[str, Any]

ARTIFACTS_URI: Final = "cdesk://artifacts"
TEMPLATE_TEMPLATE: Final = f"{TEMPLATES_URI}/{{name}}"
ARTIFACT_TEMPLATE: Final = f"{ARTIFACTS_URI}/{{id}}{{?page}}"
JSON_TYPE: Final = "application/json"
MAX_LISTED: Final = 20
"""Results that are listed, the newest first; completion and the address find the others."""
MAX_RESULTS: Final = 100
_ARTIFACT: Final = re.compile(
    re.escape(ARTIFACTS_URI) + r"/([0-9a-f-]{36})(?:\?page=([1-9]\d{0,8}))?\Z"
)
_RESULTS: Final = """
select result from query_runs
where customer = ? and json_extract(result, '$.artifact.artifact_id') is not null
order by finished_at desc, query_hash limit ?
"""
_RESULT_OF: Final = """
select result from query_runs
where customer = ?1 and json_extract(result, '$.artifact.artifact_id') = ?2
union all
select result from tickets
where customer = ?1 and json_extract(result, '$.artifact.artifact_id') = ?2
limit 1
"""


def resource_list(session: Session) -> list[Json]:
    """The resources as the protocol lists them to the caller."""
    listed: list[Json] = [
        {
            "uri": TEMPLATES_URI,
            "name": "templates",
            "title": "Query templates",
            "description": "All templates that submit_query takes",
            "mimeType": JSON_TYPE,
        },
        {
            "uri": CARD_URI,
            "name": "card",
            "title": "Card of a result",
            "description": "What a client shows beside the answer of get_result",
            "mimeType": MIME_TYPE,
            "_meta": RESOURCE_META,
        },
    ]
    catalog = session.app.readers.catalog.look()
    for template in allowed_templates(catalog, session.caller) if catalog else ():
        listed.append(
            {
                "uri": f"{TEMPLATES_URI}/{template.name}",
                "name": template.name,
                "description": template.description,
                "mimeType": JSON_TYPE,
            }
        )
    for result in own_results(session, most=MAX_LISTED):
        listed.append(
            {
                "uri": f"{ARTIFACTS_URI}/{result['artifact']['artifact_id']}",
                "name": result["artifact"]["artifact_id"],
                # No headline: it may hold what somebody wrote, and a list has no word for data.
                "title": str(result.get("template")),
                "description": f"{result['row_count']:,} rows of {result.get('template')}, "
                f"as of {result.get('as_of')}",
                "mimeType": JSON_TYPE,
            }
        )
    return listed


def resource_templates() -> list[Json]:
    """The resource templates as the protocol lists them."""
    return [
        {
            "uriTemplate": TEMPLATE_TEMPLATE,
            "name": "template",
            "title": "One query template",
            "description": "Parameters with bounds, an example and the SQL",
            "mimeType": JSON_TYPE,
        },
        {
            "uriTemplate": ARTIFACT_TEMPLATE,
            "name": "result",
            "title": "A stored result",
            "description": "Ten rows of one of your results, by its artifact_id; page from 1",
            "mimeType": JSON_TYPE,
        },
    ]


async def resource(session: Session, uri: str) -> Json:
    """The content of a resource.

    Raises:
        CatalogError: the catalog is not there. NotFound: there is no such resource, for this
        caller. Forbidden: the template needs a role.
    """
    if uri == CARD_URI:
        return {"uri": uri, "mimeType": MIME_TYPE, "text": card_page(), "_meta": RESOURCE_META}
    document: Any
    if match := _ARTIFACT.match(uri):
        document = await _page(session, match[1], int(match[2] or 1))
    elif uri == TEMPLATES_URI:
        catalog = session.app.readers.catalog.get()
        document = {
            "content_hash": catalog.content_hash,
            "dialect": catalog.dialect,
            "templates": [item.document() for item in allowed_templates(catalog, session.caller)],
        }
    elif uri.startswith(f"{TEMPLATES_URI}/"):
        catalog = session.app.readers.catalog.get()
        template = catalog.get(uri.removeprefix(f"{TEMPLATES_URI}/"))
        if template.scope == "org":
            session.caller.require_analyst(f"template {template.name}")
        document = template.document()
    else:
        raise NotFound(
            f"no resource {uri[:100]!r}; known: {TEMPLATES_URI}, {TEMPLATE_TEMPLATE}, "
            f"{ARTIFACT_TEMPLATE}"
        )
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    return {"uri": uri, "mimeType": JSON_TYPE, "text": text}


def own_results(session: Session, *, most: int = MAX_RESULTS) -> list[Json]:
    """The caller's stored results, newest first, as get_result answers them; none where state.db
    cannot be used.
    """

    def load(connection: sqlite3.Connection) -> list[Json]:
        rows = connection.execute(_RESULTS, (session.caller.customer, most))
        return [orjson.loads(row[0]) for row in rows]

    try:
        return session.app.readers.state.read(load)
    except StateDirectoryError:
        return []


async def _page(session: Session, artifact_id: str, page: int) -> Json:
    """A page of one of the caller's results, or that it is being written. Another's result and none
    are the same.
    """
    customer = session.caller.customer
    row = session.app.readers.state.read(
        lambda connection: connection.execute(_RESULT_OF, (customer, artifact_id)).fetchone()
    )
    result = orjson.loads(row[0]) if row else None
    pages = page_count(result["row_count"]) if result else 0
    if result is None or page > pages:
        where = f"; it has {pages:,} pages" if result else ""
        raise NotFound(f"no page {page:,} of a result {artifact_id} of yours{where}")
    rows = result["rows"]
    answer: Json = {
        "artifact_id": artifact_id,
        "template": result.get("template"),
        "headline": result.get("headline"),
        "query_hash": result.get("query_hash"),
        "as_of": result.get("as_of"),
        "row_count": result["row_count"],
        "sampling_note": result.get("sampling_note"),
        "page": page,
        "pages": pages,
        "columns": result.get("columns"),
        "status": "succeeded",
        "note": WRITTEN_NOTE,
    }
    if page > 1:
        found = await page_of(session, artifact_id, page)
        rows = found.rows
        if found.is_waited_for:
            missing = session.app.readers.worker_missing()
            answer |= {"status": "running", "progress": missing or page_progress(found)}
        elif rows is None:
            answer |= {"status": "failed", "error": found.error_message or found.error_code}
    return answer | ({"rows": rows} if rows is not None else {})
