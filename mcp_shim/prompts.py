"""The prompts that the server offers a person: each a text for the model with the calls in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

from cdesk.contract.catalog import Catalog
from cdesk.core.errors import InvalidField, NotFound
from cdesk.core.plain import plain

MAX_ARGUMENT: Final = 200
_DAYS: Final = re.compile(r"(\d{1,4})\s*(?:d|days?)\Z", re.IGNORECASE)
_WORDS: Final = {"today": 1, "yesterday": 2, "week": 7, "month": 31, "year": 366}


class Argument(NamedTuple):
    """One argument of a prompt; all are text."""

    name: str
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt is made from: its arguments, the catalog where there is one, and today's date
    where the person is.
    """

    arguments: Mapping[str, str]
    catalog: Catalog | None
    today: date

    def call(self, template: str, **params: Any) -> str:
        """A call of submit_query as it stands in a text, its numbers within the template's
        bounds.
        """
        found = self.catalog.templates.get(template) if self.catalog else None
        for parameter in found.parameters if found else ():
            value = params.get(parameter.name)
            if isinstance(value, int) and parameter.max is not None:
                params[parameter.name] = min(value, int(parameter.max))
        return f"- submit_query {json.dumps({'template': template, 'params': params})}"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt; `text` makes the message."""

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]
    text: Callable[[Asked], str]

    def listed(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "arguments": [argument._asdict() for argument in self.arguments],
        }


_READ: Final = (
    "Then get_result for each ticket with wait_seconds 10, again while it is queued or running. "
    "Say as_of once, and which figures the system recorded and which were reported, where a column "
    "has a basis. Where nothing was recorded, say so; make nothing up."
)


def _weekly_review(asked: Asked) -> str:
    calls = (
        asked.call("activity_by_period", activity="cdesk.user_asked", period="day", days_back=7),
        asked.call("activity_counts", days_back=7),
        asked.call("sessions", days_back=7),
        asked.call("recent_activities", hours_back=168, limit=100),
        asked.call("insights"),
    )
    return _joined(
        "Review my last seven days with Claude, from what cdesk recorded.",
        "Call get_context, then all of these at once:",
        "\n".join(calls),
        _READ,
        "Write at most a page: what I worked on and on which days, what I asked most, what was "
        "learned or is still open, what failed. End with one thing that I could do differently "
        "next week, and the figure that it rests on. Offer up to three findings to remember; "
        "record those that I choose with log_insight and their query_hash.",
    )


def _what_did_i_do(asked: Asked) -> str:
    topic = asked.arguments.get("topic", "")
    days = days_since(asked.arguments.get("since", ""), asked.today)
    activity = topic if re.fullmatch(r"cdesk\.[a-z][a-z0-9_]*", topic) else None
    calls = [asked.call("recent_activities", hours_back=days * 24, limit=1000)]
    if activity:
        calls.append(
            asked.call("activity_by_period", activity=activity, period="day", days_back=days)
        )
    else:
        calls.append(
            asked.call(
                "feature_values", activity="cdesk.user_asked", key="question", days_back=days
            )
        )
        calls.append(
            asked.call("feature_values", activity="cdesk.user_asked", key="topic", days_back=days)
        )
        if topic:
            calls.append(asked.call("insights", subject=topic))
    about = f" about {_quoted(topic)}" if topic else ""
    return _joined(
        f"What did I do{about} in the last {days} days? Answer from what cdesk recorded.",
        "Call get_context, then all of these at once:",
        "\n".join(calls),
        _READ,
        "Answer in the order of time, newest first, with dates: what I asked, which files and "
        "tools were used, what came of it, what was remembered. Leave out what has nothing to do "
        "with it, and ask for further pages where the first ten rows end within the time asked "
        "for.",
    )


def _remember(asked: Asked) -> str:
    subject = asked.arguments["subject"]
    return _joined(
        f"Remember what this conversation found out about {_quoted(subject)}.",
        "Call get_context, and:",
        asked.call("insights", subject=subject),
        "List what is known of it already. Then name what is new: one metric and one value each, "
        "in words that could be used again. Where a value stands in a result of submit_query of "
        "this conversation, take it to the letter, with that result's query_hash; where it could "
        "be computed by a template, ask that first. What I merely said has no query_hash and stays "
        "unverified: say which those are. Show me the list, and after my yes call log_insight for "
        "each, with the subject as it is known already.",
    )


def _year_in_review(asked: Asked) -> str:
    year = _year(asked.arguments.get("year", ""), asked.today)
    days = max(1, (asked.today - date(year, 1, 1)).days + 1)
    calls = (
        asked.call(
            "activity_by_period", activity="cdesk.user_asked", period="month", days_back=days
        ),
        asked.call(
            "activity_by_period", activity="cdesk.session_started", period="week", days_back=days
        ),
        asked.call("activity_counts", days_back=days),
        asked.call("llm_usage", period="month", days_back=days),
        asked.call("feature_values", activity="cdesk.user_asked", key="topic", days_back=days),
        asked.call("insights"),
    )
    return _joined(
        f"My {year} with Claude, from what cdesk recorded.",
        "Call get_context, then all of these at once:",
        "\n".join(calls),
        _READ,
        f"Use what lies in {year} alone, and say since when there are records. Write it as a "
        "page that I would like to keep: a headline with one figure, the months at a glance, the "
        "busiest day or month, the topics that came back, what was learned (verified facts apart "
        "from claims), one surprise, and the link to the card of the months. No figure that does "
        "not stand in a result.",
    )


def _forget(asked: Asked) -> str:
    subject = asked.arguments["subject"]
    return _joined(
        f"Forget what is remembered about {_quoted(subject)}.",
        "Call get_context, and:",
        asked.call("insights", subject=subject, limit=1000),
        "List every insight on it, the pending and unverified ones too, with subject, metric, "
        "value and date; subjects that are merely similar apart. After my yes, and for those that "
        "I name alone, call forget_insight with each insight_id, then get_context again, and say "
        "what is gone. The queries that they rested on stay on record: say so.",
    )


_SUBJECT: Final = Argument("subject", "What it is about, such as 'project atlas'.", required=True)

PROMPTS: Final[Mapping[str, Prompt]] = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            "weekly_review",
            "My week with Claude",
            "The last seven days: what you worked on, what was learned, what to do differently.",
            (),
            _weekly_review,
        ),
        Prompt(
            "what_did_i_do",
            "What did I do?",
            "What you did on a topic since a day.",
            (
                Argument("topic", "A subject, an activity such as cdesk.file_read, or any words."),
                Argument("since", "A date (2026-01-31), '14 days', or 'week'; a week by default."),
            ),
            _what_did_i_do,
        ),
        Prompt(
            "remember",
            "Remember this",
            "Keep what this conversation found out, with its proof.",
            (_SUBJECT,),
            _remember,
        ),
        Prompt(
            "year_in_review",
            "My year with Claude",
            "A year as a page to keep: months, topics, what was learned.",
            (Argument("year", "Such as 2026; this year by default."),),
            _year_in_review,
        ),
        Prompt(
            "forget",
            "Forget this",
            "Take what is remembered on a subject out of the memory.",
            (_SUBJECT,),
            _forget,
        ),
    )
}


def prompt_text(
    name: str, arguments: Mapping[str, str], *, catalog: Catalog | None, now: datetime
) -> str:
    """The message of a prompt. `now` is where the person is.

    Raises:
        NotFound: there is no such prompt. InvalidField: an argument is missing, unknown or too
        long.
    """
    prompt = PROMPTS.get(name)
    if prompt is None:
        raise NotFound(f"no prompt {name[:60]!r}; known: {', '.join(PROMPTS)}")
    known = {argument.name: argument for argument in prompt.arguments}
    given: dict[str, str] = {}
    for key, value in arguments.items():
        if key not in known:
            raise InvalidField(key[:60], f"unknown for {name}", ", ".join(known) or "no arguments")
        if len(value) > MAX_ARGUMENT:
            raise InvalidField(
                key, f"{len(value):,} characters", f"at most {MAX_ARGUMENT} characters"
            )
        if text := plain(" ".join(value.split())):
            given[key] = text
    for argument in prompt.arguments:
        if argument.required and argument.name not in given:
            raise InvalidField(argument.name, f"missing for {name}", argument.description)
    return prompt.text(Asked(given, catalog, now.date()))


def days_since(since: str, today: date) -> int:
    """How many days back a `since` goes, today included; a week where it says nothing.

    Raises:
        InvalidField: it is in the future, or no date or number of days.
    """
    text = since.strip().lower().removeprefix("last ").removesuffix(" ago")
    if not text:
        return _WORDS["week"]
    if text in _WORDS:
        return _WORDS[text]
    if match := _DAYS.match(text):
        return max(1, int(match[1]))
    try:
        days = (today - datetime.fromisoformat(text).date()).days + 1
    except ValueError:
        days = 0
    if days < 1:
        raise InvalidField(
            "since",
            f"{since[:40]!r} is no day up to today",
            f"a date such as {today.isoformat()}, '14 days', or {', '.join(_WORDS)}",
        )
    return days


def _year(text: str, today: date) -> int:
    if not text:
        return today.year
    if not re.fullmatch(r"\d{4}", text) or not 1970 <= int(text) <= today.year:
        raise InvalidField("year", f"{text[:40]!r} is none", f"1970 to {today.year}")
    return int(text)


def _quoted(text: str) -> str:
    """What somebody wrote, so that it ends where it ends."""
    return json.dumps(text, ensure_ascii=False)


def _joined(*parts: str) -> str:
    return "\n\n".join(parts)


def local_now(now_ns: int, timezone: str) -> datetime:
    """The moment where the person is; in UTC where the zone is not known here."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    moment = datetime.fromtimestamp(now_ns / 1e9, UTC)
    try:
        return moment.astimezone(ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, ValueError):
        return moment


def since_words(today: date) -> Sequence[str]:
    """What `since` may be, for completion."""
    return (*_WORDS, "14 days", "30 days", f"{today.year}-01-01")
