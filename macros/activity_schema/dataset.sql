{#
    One model from a cohort and any number of appends: the cohort's rows, neither more nor fewer, with the appended columns beside them.

        select * from ({{ cdesk.dataset(
            cohort=cdesk.activity('cdesk.session_started', columns=['activity_id', 'customer', 'ts']),
            appends=[
                cdesk.last_before('cdesk.user_asked', columns=['ts']),
                cdesk.aggregate_in_between('cdesk.user_asked', columns=[cdesk.agg('count', as='questions')]),
            ],
        ) }})

    The result is a whole query, so a model may also consist of it alone. Each append is prepared once from its own activity's rows and joined
    once, in a chain; the cohort is never joined to itself, and no append's cost grows with the product of two histories.
#}
{% macro dataset(cohort, appends=[], stream=none, dims=[]) -%}
    {{ return(cdesk._as_dataset_sql(cohort, appends, stream or cdesk.default_stream(), dims)) }}
{%- endmacro %}

{#
    `scope` is a condition on every row read (SafeSQL: the caller's rows), `cohort_where` one on the numbered cohort rows, `order_by` closes the
    query. All three are SQL and stay inside the package.
#}
{% macro _as_dataset_sql(cohort, appends, stream, dims=[], scope=none, cohort_where=none, order_by=none) -%}
    {{ return(cdesk._as_dataset_text(cohort, appends, stream, dims, scope, cohort_where, order_by) | trim) }}
{%- endmacro %}

{% macro _as_dataset_text(cohort, appends, stream, dims, scope, cohort_where, order_by) -%}
    {% set cohort = cohort if cohort is mapping else cdesk.activity(cohort) %}
    {% if cohort.kind not in ['activity', 'time_spine'] %}
        {% do cdesk._as_raise('dataset', 'cohort', cohort.kind, 'a name, cdesk.activity(…) or cdesk.time_spine(…)') %}
    {% endif %}
    {% if stream is not mapping or stream.kind != 'stream' %}
        {% set stream = cdesk.stream(stream, var('cdesk__activity_schema_columns', {})) %}
    {% endif %}
    {% do cdesk._as_check_list('dataset', 'appends', appends, 'a list of relationships, such as cdesk.first_before(…)') %}
    {% do cdesk._as_check_list('dataset', 'dims', dims, 'a list of cdesk.dim(…) and cdesk.customer_dim(…)') %}
    {% set plans = [] %}
    {% for append in appends %}
        {% do plans.append(cdesk._as_plan_append(append, loop.index, stream, scope)) %}
    {% endfor %}
    {% set numbered = cdesk._as_numbers_customers() and plans | selectattr('sorts') | list | length > 0 %}
    {% for plan in plans %}{% do plan.update({'numbered': numbered}) %}{% endfor %}
    {% set cohort_plan = cdesk._as_plan_cohort(cohort, plans, stream, scope, cohort_where, numbered) %}
    {% set outputs = cohort_plan.outputs | list %}
    {% for plan in plans %}{% set _ = outputs.extend(plan.outputs) %}{% endfor %}
    {% do cdesk._as_check_unique(outputs) %}
    {% set dim_outputs = [] %}
    {% for dim in dims %}{% do dim_outputs.append(cdesk._as_check_dim(dim, outputs)) %}{% endfor %}
    {% do cdesk._as_check_unique(outputs + dim_outputs | sum(start=[])) -%}
with

{{ cdesk._as_cohort_ctes(cohort_plan) }}
{%- set last = namespace(name='cohort') %}
{%- for plan in cdesk._as_in_order_of_joining(plans) %},

{{ cdesk._as_append_ctes(plan, last.name) }}
{%- set last.name = 'step_' ~ plan.index %}
{%- endfor %}
{%- for dim in dims %},

{{ cdesk._as_dim_cte(dim, 'dim_' ~ loop.index) }}
{%- endfor %}

select
{%- for name in outputs %}
    c.{{ name }}{{ ',' if not loop.last or dims }}
{%- endfor %}
{%- for dim in dims %}
{%- set index = loop.index %}
{%- set last_dim = loop.last %}
{%- for column in dim.columns %}
    dim_{{ index }}.{{ column.column }} as {{ column['as'] }}{{ ',' if not (loop.last and last_dim) }}
{%- endfor %}
{%- endfor %}
from {{ last.name }} as c
{%- for dim in dims %}
left join dim_{{ loop.index }}
    on c.{{ dim.on }} = dim_{{ loop.index }}.{{ dim.key }}
{%- endfor %}
{%- if order_by %}
order by {{ order_by }}
{%- endif %}
{%- endmacro %}

{#
    An ASOF join sorts the rows so far, with all columns they have got by then; a hash join doesn't. So the ASOF joins come first, those that add
    few numbers before those that add whole rows. The order of output columns doesn't depend on it.
#}
{% macro _as_in_order_of_joining(plans) -%}
    {% set forms = ['running', 'counted', 'nearest_row'] %}
    {% set sorting = plans | selectattr('form', 'in', forms) | list %}
    {% set others = plans | rejectattr('form', 'in', forms) | list %}
    {{ return(sorting | selectattr('aggregate') | list + sorting | rejectattr('aggregate') | list + others) }}
{%- endmacro %}

{% macro _as_check_unique(names) -%}
    {% for name in names %}
        {% if names.count(name) > 1 %}
            {% do cdesk._as_raise('dataset', 'output column', "'" ~ name ~ "' twice", "names that differ; set 'as' on a column or 'prefix' on an append") %}
        {% endif %}
    {% endfor %}
{%- endmacro %}
