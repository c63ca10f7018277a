"""`cdesk templates`: the catalog for a person."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from cdesk_app.cli.output import table, terminal_width, to_json
from cdesk_app.cli.query import named_template
from cdesk_app.cli.settings import settings_and_home

if TYPE_CHECKING:
    from cdesk.contract.catalog import Template

EXAMPLE = "cdesk templates recent_activities"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="show this one: parameters, example and SQL"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace) -> int:
    from cdesk.state.catalog import sealed_catalog

    _, home = settings_and_home()
    catalog = sealed_catalog(home)
    if args.name is None:
        found = [catalog.templates[name] for name in sorted(catalog.templates)]
        if args.json:
            print(to_json([_listed(template) for template in found]))
        else:
            rows = [
                (template.name, template.scope, _first_sentence(template.description))
                for template in found
            ]
            print(table(("template", "scope", "answers"), rows, width=terminal_width()))
            print("\n'cdesk templates NAME' explains one; 'cdesk query NAME -p KEY=VALUE' runs it.")
        return 0
    template = named_template(catalog, args.name)
    print(to_json(template.document()) if args.json else _explained(template))
    return 0


def _explained(template: Template) -> str:
    parts = [
        f"{template.name} ({template.scope} scope)",
        "",
        " ".join(template.description.split()),
        "",
        table(
            ("parameter", "needed", "default", "allowed", "meaning"),
            [
                (
                    parameter.name,
                    parameter.required,
                    parameter.default,
                    parameter.allowed,
                    parameter.description,
                )
                for parameter in template.parameters
            ],
            width=terminal_width(),
        )
        if template.parameters
        else "It takes no parameters.",
        "",
        _evidence(template),
        "",
        "example:",
        f"  {command_line(template)}",
        "",
        f"SQL (hash {template.hash}; each ? is bound, in this order: "
        f"{', '.join(template.binds) or 'none'}):",
        "",
        template.sql.strip(),
    ]
    return "\n".join(parts)


def _evidence(template: Template) -> str:
    """What of its answer can verify an insight, and whose word it is."""
    if not template.evidence_columns:
        return "No value of its answer verifies an insight."
    columns = ", ".join(f"{name} ({basis})" for name, basis in template.evidence_columns.items())
    return f"An insight is verified by a value of {columns}."


def command_line(template: Template) -> str:
    """The template's example as a command to type."""
    words = [
        f"-p {shlex.quote(f'{name}={item}')}"
        for name, value in template.example.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return " ".join(("cdesk query", template.name, *words))


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).partition(". ")[0]


def _listed(template: Template) -> dict[str, object]:
    """A template in a list: all but its SQL."""
    return {key: value for key, value in template.document().items() if key not in ("sql", "binds")}
