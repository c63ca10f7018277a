{#
    A boolean expression, never null: does the JSON value keep the rule? A rule `<rule> or null`
    allows JSON null as well.
#}
{% macro record_rule(value, rule) -%}
    {%- set text = cdesk.json_text(value) -%}
    {%- set hex = '[0-9a-f]' -%}
    {%- set patterns = {
        'uuid': hex ~ '{8}-' ~ hex ~ '{4}-' ~ hex ~ '{4}-' ~ hex ~ '{4}-' ~ hex ~ '{12}',
        'hash': hex ~ '{16}',
        'query_tag': 'cdesk_' ~ hex ~ '{8}',
        'activity': 'cdesk[.][a-z][a-z0-9_]{0,63}',
        'link': '(https?|s3|cdesk)://[^[:space:][:cntrl:]]+',
        'format': 'parquet|csv|json',
        'source': 'claude_desktop|claude_code|cowork|claude_export|import',
        'status': 'succeeded|failed|cancelled|expired',
        'timestamp': '[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z',
    } -%}
    {%- if rule.endswith(' or null') -%}
        ({{ cdesk.json_is(value, 'null') }} or {{ cdesk.record_rule(value, rule[:-8]) }})
    {%- elif rule in ['object', 'array', 'boolean', 'string'] -%}
        {{ cdesk.json_is(value, rule) }}
    {%- elif rule == 'object text' -%}
        (
            {{ cdesk.json_is(value, 'string') }}
            and {{ cdesk.json_is(cdesk.try_parse_json(text), 'object') }}
        )
    {%- elif rule == 'text' -%}
        ({{ cdesk.json_is(value, 'string') }} and length({{ text }}) >= 1)
    {%- elif rule == 'customer' -%}
        (
            {{ cdesk.json_is(value, 'string') }} and length({{ text }}) between 1 and 255
            and not {{ cdesk.contains_match(text, '[[:cntrl:]]') }}
        )
    {%- elif rule == 'number' -%}
        ({{ cdesk.json_is(value, 'number') }} and {{ cdesk.try_double(text) }} is not null)
    {%- elif rule == 'count' -%}
        (
            {{ cdesk.json_is(value, 'integer') }}
            and coalesce({{ cdesk.try_bigint(text) }} >= 0, false)
        )
    {%- elif rule == 'scalar' -%}
        (
            {{ cdesk.json_is(value, 'null') }} or {{ cdesk.json_is(value, 'boolean') }}
            or {{ cdesk.record_rule(value, 'number') }}
            or ({{ cdesk.json_is(value, 'string') }} and length({{ text }}) <= 4096)
        )
    {%- elif rule == 'timestamp' -%}
        (
            {{ cdesk.json_is(value, 'string') }} and {{ cdesk.matches(text, patterns[rule]) }}
            and {{ cdesk.try_timestamp(text) }} is not null
        )
    {%- elif rule == 'link' -%}
        (
            {{ cdesk.json_is(value, 'string') }} and {{ cdesk.matches(text, patterns[rule]) }}
            and length({{ text }}) <= 2000
        )
    {%- elif rule in patterns -%}
        ({{ cdesk.json_is(value, 'string') }} and {{ cdesk.matches(text, patterns[rule]) }})
    {%- else -%}
        {{ exceptions.raise_compiler_error("record_rule: unknown rule '" ~ rule ~ "'") }}
    {%- endif -%}
{%- endmacro %}
