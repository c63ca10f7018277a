{#
    `scope` is a condition on every row read (SafeSQL: the caller's rows), `cohort_where` one on
    the numbered cohort rows, `order_by` closes the query, `instant` says whether a row of the same
    instant is before and after (1 or 0). All four are SQL and stay inside the package.
#}
{% macro _as_dataset_sql(
    cohort, appends, stream=none, dims=[], entity=none, scope=none, cohort_where=none,
    order_by=none, instant=none
) -%}
    {% set named = cohort is mapping and cohort.kind is defined %}
    {% set cohort = cohort if named else cdesk.activity(cohort) %}
    {% if cohort.kind not in ['activity', 'time_spine'] %}
        {% do cdesk._as_raise(
            'dataset', 'cohort', cohort.kind, 'a name, cdesk.activity(…) or cdesk.time_spine(…)'
        ) %}
    {% endif %}
    {% set stream = cdesk._as_stream_of(stream) %}
    {% set who = cdesk._as_who(stream, entity) %}
    {% set query = {
        'stream': stream, 'scope': scope, 'entity': entity, 'who': who,
        'somebody': cdesk._as_somebody(stream, who, entity),
        'spine': cohort.kind == 'time_spine', 'instant': instant,
    } %}
    {% set plans = cdesk._as_plans(appends, query) %}
    {% set sorting = plans | selectattr('sorts') | list %}
    {% set numbered = cdesk._as_numbers_customers() and sorting | length > 0 %}
    {% for plan in plans %}{% do plan.update({'numbered': numbered}) %}{% endfor %}
    {% set cohort_plan = cdesk._as_plan_cohort(cohort, plans, query, cohort_where, numbered) %}
    {{ return(cdesk._as_dataset_text(cohort_plan, plans, dims, order_by) | trim) }}
{%- endmacro %}

{# A stream as given: `cdesk.stream(…)`, a relation, or none for the default. #}
{% macro _as_stream_of(stream) -%}
    {% if stream is none %}{{ return(cdesk.default_stream()) }}{% endif %}
    {% if stream is mapping and stream.kind == 'stream' %}{{ return(stream) }}{% endif %}
    {{ return(cdesk.stream(stream, cdesk._as_var('cdesk__activity_schema_columns', {}))) }}
{%- endmacro %}

{% macro _as_plans(appends, query) -%}
    {% set allowed = 'a list of relationships, such as cdesk.first_before(…)' %}
    {% do cdesk._as_check_macro_exists('dataset', appends) %}
    {% set plans = [] %}
    {% for given in cdesk._as_list_of('dataset', 'appends', appends, allowed) %}
        {% if given is mapping and given.kind == 'derive' %}
            {% do plans.append(dict(
                given, index=loop.index, outputs=[{'name': given.name, 'type': none}],
                form='derive', sorts=false, needs_next=false, needs_previous=false,
            )) %}
        {% else %}
            {% do plans.append(cdesk._as_plan_append(given, loop.index, query)) %}
        {% endif %}
    {% endfor %}
    {{ return(plans) }}
{%- endmacro %}

{# The columns so far, as the stream that `derive` and `output` read. #}
{% macro _as_output_stream(outputs) -%}
    {% set columns = {} %}
    {% for output in outputs %}
        {% do columns.update({output.name: {'column': 'c.' ~ output.name, 'type': output.type}}) %}
    {% endfor %}
    {{ return({'outputs': true, 'columns': columns}) }}
{%- endmacro %}

{% macro _as_dataset_text(cohort_plan, plans, dims, order_by) -%}
    {% set outputs = cohort_plan.outputs | list %}
    {% for plan in plans %}
        {% if plan.form == 'derive' %}
            {% set so_far = cdesk._as_output_stream(outputs) %}
            {% set value = cdesk._as_value('derive', plan.value, so_far) %}
            {% do plan.update({'outputs': [{'name': plan.name, 'type': value.type}]}) %}
        {% endif %}
        {% do plan.update({'reads': cdesk._as_output_stream(outputs)}) %}
        {% set _ = outputs.extend(plan.outputs) %}
    {% endfor %}
    {% set names = outputs | map(attribute='name') | list %}
    {% do cdesk._as_check_unique(names) %}
    {% set allowed = 'a list of cdesk.dim(…) and cdesk.customer_dim(…)' %}
    {% set dims = cdesk._as_list_of('dataset', 'dims', dims, allowed) %}
    {% set dim_names = [] %}
    {% for dim in dims %}{% do dim_names.extend(cdesk._as_check_dim(dim, names)) %}{% endfor %}
    {% do cdesk._as_check_unique(names + dim_names) -%}
with

{{ cdesk._as_cohort_ctes(cohort_plan) }}
{%- set last = namespace(name='cohort') %}
{%- for plan in cdesk._as_in_order_of_joining(plans) %},

{{ cdesk._as_derive_ctes(plan, last.name, plan.reads) if plan.form == 'derive'
   else cdesk._as_append_ctes(plan, last.name, plan.reads) }}
{%- set last.name = 'step_' ~ plan.index %}
{%- endfor %}
{%- for dim in dims %},

{{ cdesk._as_dim_cte(dim, 'dim_' ~ loop.index) }}
{%- endfor %}

select
{%- for name in names %}
    c.{{ name }}{{ ',' if not loop.last or dims }}
{%- endfor %}
{%- for dim in dims %}
{%- set index = loop.index %}
{%- set last_dim = loop.last %}
{%- for column in dim.columns %}
    dim_{{ index }}.{{ column.column }} as {{ column['as'] }}
    {{- ',' if not (loop.last and last_dim) }}
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
    An ASOF join sorts the rows so far, with all columns they have got by then; a hash join doesn't.
    So the ASOF joins come first, those that add few numbers before those that add whole rows. The
    order of output columns doesn't depend on it. Where something reads an earlier column, the order
    stays as it is.
#}
{% macro _as_in_order_of_joining(plans) -%}
    {% for plan in plans %}
        {% if plan.form == 'derive' or plan.conditions.computed %}{{ return(plans) }}{% endif %}
    {% endfor %}
    {% set forms = ['running', 'counted', 'nearest'] %}
    {% set sorting = plans | selectattr('form', 'in', forms) | list %}
    {% set others = plans | rejectattr('form', 'in', forms) | list %}
    {{ return(
        sorting | selectattr('aggregate') | list + sorting | rejectattr('aggregate') | list + others
    ) }}
{%- endmacro %}

{% macro _as_check_unique(names) -%}
    {% for name in names %}
        {% if names.count(name) > 1 %}
            {% do cdesk._as_raise(
                'dataset', 'output column', "'" ~ name ~ "' twice",
                "names that differ; set 'as' on a column or 'prefix' on an append",
            ) %}
        {% endif %}
    {% endfor %}
{%- endmacro %}
