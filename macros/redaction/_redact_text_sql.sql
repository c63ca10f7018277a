{#
    The list as one DuckDB expression over `text`. A pass marks its matches between chr(1) and
    chr(2), compares each whole with the rules in order, and puts the text together again. Lists of
    one item stand for variables: a macro's argument is repeated at each use.
    https://duckdb.org/docs/stable/sql/functions/lambda
#}
{% macro _redact_text_sql(text) -%}
    {%- set nested = namespace(sql=cdesk._as_meant_sql(text)) -%}
    {%- for rules in cdesk.redaction_passes() -%}
        {%- set nested.sql = cdesk._redaction_pass_sql(nested.sql, rules) -%}
    {%- endfor -%}
    {{ return(nested.sql) }}
{%- endmacro %}

{#
    The text with the letters that are meant in place of those that look like them, in words of
    Latin letters; `translate` drops what stands for nothing.
#}
{% macro _as_meant_sql(text) -%}
    {%- set letters = cdesk._redaction_lookalikes() -%}
    {%- set written = cdesk._quoted(letters.written) -%}
    {%- set meant = cdesk._quoted(letters.meant) -%}
    {%- set any_written = cdesk._quoted('[' ~ letters.any_written ~ ']') -%}
    {%- set parts = cdesk._quoted(letters.word ~ '|' ~ letters.word.replace('[', '[^', 1)) -%}
    {%- set is_latin = cdesk._quoted(letters.is_latin) -%}
    {%- set sql -%}
    list_transform(
        [{{ text }}],
        lambda raw: case when regexp_matches(raw, {{ any_written }}) then array_to_string(
            list_transform(
                regexp_extract_all(raw, {{ parts }}),
                lambda word: case when regexp_matches(word, {{ is_latin }}) then
                    translate(word, {{ written }}, {{ meant }})
                else word end
            ),
            ''
        ) else raw end
    )[1]
    {%- endset -%}
    {{ return(sql) }}
{%- endmacro %}

{% macro _redaction_pass_sql(text, rules) -%}
    {%- set patterns = [] -%}
    {%- set whens = [] -%}
    {%- for rule in rules -%}
        {%- do patterns.append('(?:' ~ rule.pattern ~ ')') -%}
        {%- do whens.append(cdesk._redaction_rule_sql(rule)) -%}
    {%- endfor -%}
    {%- set any = cdesk._quoted('(?:' ~ patterns | join('|') ~ ')') -%}
    {%- set sql -%}
    list_transform(
        [
            regexp_replace(
                translate({{ text }}, chr(1) || chr(2), ''),
                {{ any }},
                chr(1) || '\0' || chr(2),
                'g'
            )
        ],
        lambda marked: case when contains(marked, chr(1)) then array_to_string(
            list_transform(
                string_split(marked, chr(1)),
                lambda part: case when contains(part, chr(2)) then
                    list_transform(
                        [split_part(part, chr(2), 1)],
                        lambda found: case {{ whens | join(' ') }} else found end
                    )[1] || split_part(part, chr(2), 2)
                else part end
            ),
            ''
        ) else marked end
    )[1]
    {%- endset -%}
    {{ return(sql) }}
{%- endmacro %}

{#
    The branch of a rule: `when` the match is one of its kind `then` what stands for it. Whether it
    is one is asked with `regexp_replace`, whose pattern is compiled once something is to be
    compared: `regexp_full_match` compiles it wherever a statement is planned.
#}
{% macro _redaction_rule_sql(rule) -%}
    {%- set whole = cdesk._quoted('^(?:' ~ rule.pattern ~ ')$') -%}
    {%- if not rule.label -%}
        {%- set stands = 'found' -%}
    {%- elif rule.becomes -%}
        {%- set becomes = cdesk._quoted(rule.becomes) -%}
        {%- set stands = 'regexp_replace(found, ' ~ whole ~ ', ' ~ becomes ~ ')' -%}
    {%- else -%}
        {%- set stands = cdesk._quoted('[' ~ rule.label ~ ']') -%}
    {%- endif -%}
    {%- set fits = 'regexp_replace(found, ' ~ whole ~ ", '') = ''" -%}
    {%- if rule.check -%}
        {%- set fits = fits ~ ' and ' ~ cdesk._redaction_check_sql(rule.check, 'found') -%}
    {%- endif -%}
    {{ return('when ' ~ fits ~ ' then ' ~ stands) }}
{%- endmacro %}

{# A text as a literal of DuckDB, in which a backslash is itself. #}
{% macro _quoted(text) -%}
    {{ return("'" ~ text | replace("'", "''") ~ "'") }}
{%- endmacro %}

{#
    Whether redaction might change a text: false only where it wouldn't, so that the long expression
    is spared most texts. Whether any rule that replaces something matches is asked in small groups:
    all in one are too large for the quick one of the engine's two ways to match, which takes a
    hundredth of the time. `text` may be several joined by line ends; `(?m)` lets an anchor match at
    these.
#}
{% macro _may_need_redaction_sql(text) -%}
    {%- set letters = cdesk._redaction_lookalikes() -%}
    {%- set marks = '[' ~ letters.any_written ~ '\\x01\\x02]' -%}
    {%- set groups = [] -%}
    {%- set group = namespace(patterns=[marks], length=0) -%}
    {%- for rule in cdesk.redaction_passes() | sum(start=[]) if rule.label -%}
        {%- if group.length + rule.pattern | length > 1200 or group.patterns | length > 11 -%}
            {%- do groups.append(group.patterns) -%}
            {%- set group.patterns = [] -%}
            {%- set group.length = 0 -%}
        {%- endif -%}
        {%- do group.patterns.append('(?:' ~ rule.pattern ~ ')') -%}
        {%- set group.length = group.length + rule.pattern | length -%}
    {%- endfor -%}
    {%- do groups.append(group.patterns) -%}
    {%- set asked = [] -%}
    {%- for patterns in groups -%}
        {%- set any = cdesk._quoted('(?m:' ~ patterns | join('|') ~ ')') -%}
        {%- set marked = 'regexp_replace(' ~ text ~ ', ' ~ any ~ ', repeat(chr(1), 2))' -%}
        {%- do asked.append(marked ~ ' != ' ~ text) -%}
    {%- endfor -%}
    {{ return('(' ~ asked | join(' or ') ~ ')') }}
{%- endmacro %}
