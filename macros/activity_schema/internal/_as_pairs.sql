{#
    The form that joins rows with rows, for conditions that no order of rows answers, and for
    aggregates between two limits that `rolling` can't put together. Equality conditions narrow it;
    so does time, where both limits lie in a fixed distance of the cohort row: rows then meet only
    in the same or the next slice of time, so that the cost follows the rows within the limits and
    not a customer's history.
#}
{% macro _as_pairs(plan, previous) -%}
{%- set i = plan.index -%}
{%- set seconds = cdesk._as_slice_seconds(plan) -%}
{%- set conditions = [cdesk._as_same(plan, 'c', 'a')] -%}
{%- for bound in [plan.low, plan.high] if bound %}
    {%- do conditions.append(cdesk._as_bound_sql(bound, 'a._ts')) %}
{%- endfor -%}
{%- for check in plan.checks %}
    {%- do conditions.append(cdesk._as_check_sql(check, 'a.', 'c.')) %}
{%- endfor -%}
{%- if seconds -%}
{%- set slice = cdesk._as_slice(plan.low.sql, seconds) -%}
{%- do conditions.insert(1, 'c._slice = a._slice') -%}
append_{{ i }}_slices as (
    select
        *,
        {{ cdesk._as_slice('_ts', seconds) }} as _slice
    from append_{{ i }}_rows
),

step_{{ i }}_slices as (
    select
        c.*,
        {{ slice }} as _slice
    from {{ previous }} as c
    union all
    select
        c.*,
        {{ slice }} + 1 as _slice
    from {{ previous }} as c
),

{% endif -%}
append_{{ i }}_pairs as (
    select
        c._row as _cohort_row,
        a.*
    from {{ 'step_' ~ i ~ '_slices' if seconds else previous }} as c
    inner join append_{{ i }}_{{ 'slices' if seconds else 'rows' }} as a
        on
            {{ conditions | join('\n            and ') }}
),

append_{{ i }} as (
    select
        {%- if plan.aggregate %}
        _cohort_row
        {{- cdesk._as_aggregates_sql(plan) }}
    from append_{{ i }}_pairs
    group by _cohort_row
        {%- else %}
        *
    from append_{{ i }}_pairs
    {%- set direction = ' desc' if plan.pick == 'last' else '' %}
    qualify row_number() over (
        partition by _cohort_row order by _ts{{ direction }}, _activity_id{{ direction }}
    ) = {{ cdesk._as_position(plan) }}
        {%- endif %}
),

{{ cdesk._as_step(plan, previous, 'c._row = a._cohort_row') }}
{%- endmacro %}

{# The seconds between the two limits at most, where both lie in a fixed distance; else none. #}
{% macro _as_slice_seconds(plan) -%}
    {% set limits = [plan.low or {}, plan.high or {}] %}
    {% set far = limits | selectattr('seconds', 'defined') | map(attribute='seconds') | list %}
    {% if far and plan.low and plan.high %}
        {#- A second more for a limit that is moved by less. -#}
        {{ return('(1 + ' ~ far | join(' + ') ~ ')') }}
    {% elif not plan.low or not plan.high or not plan.low.offset or not plan.high.offset %}
        {{ return(none) }}
    {% endif %}
    {% set units = cdesk._as_interval_units() %}
    {% set low = plan.low.offset[0] * units[plan.low.offset[1]] %}
    {% set high = plan.high.offset[0] * units[plan.high.offset[1]] %}
    {% set lengths = [(high - low) | abs, low | abs, high | abs, 1] %}
    {{ return(lengths | max) }}
{%- endmacro %}

{#
    The number of the slice of time, of so many seconds, in which an instant lies; null for
    infinity, which is within no distance of anything. In whole numbers, so that nothing rounds; and
    down, before 1970 as after, where the length is known here: division rounds towards zero, which
    makes one slice of two. Where rows meet in the same slice or the next, that does no harm.
#}
{% macro _as_slice(ts, seconds) -%}
    {{ return(adapter.dispatch('_as_slice', 'cdesk')(ts, seconds)) }}
{%- endmacro %}

{% macro default___as_slice(ts, seconds) -%}
    {% set epoch = 'epoch_us(' ~ ts ~ ')' %}
    {% if seconds is not number %}{{ return(epoch ~ ' // (' ~ seconds ~ ' * 1000000)') }}{% endif %}
    {% set length = seconds * 1000000 %}
    {% set before = epoch ~ ' % ' ~ length ~ ' < 0' %}
    {{ return(
        '(' ~ epoch ~ ' // ' ~ length ~ ' - case when ' ~ before ~ ' then 1 else 0 end)'
    ) }}
{%- endmacro %}

{% macro snowflake___as_slice(ts, seconds) -%}
    {% set down = "date_trunc('second', " ~ ts ~ ')' if seconds is number else ts %}
    {% set epoch = 'date_part(epoch_second, ' ~ down ~ ')' %}
    {% set rest = 'mod(' ~ epoch ~ ', ' ~ seconds ~ ')' %}
    {% set slice = '(' ~ epoch ~ ' - ' ~ rest ~ ') / ' ~ seconds %}
    {% if seconds is not number %}{{ return(slice) }}{% endif %}
    {{ return('(' ~ slice ~ ' - case when ' ~ rest ~ ' < 0 then 1 else 0 end)') }}
{%- endmacro %}
