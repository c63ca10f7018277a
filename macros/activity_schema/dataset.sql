{#
    One model from a cohort and any number of appends: the cohort's rows, neither more nor fewer,
    with the appended columns beside them.

        select * from ({{ cdesk.dataset(
            cohort=cdesk.activity('cdesk.session_started', columns=['activity_id', 'ts']),
            appends=[
                cdesk.last_before('cdesk.user_asked', columns=['ts']),
                cdesk.aggregate_in_between('cdesk.user_asked', columns=[cdesk.agg('count')]),
            ],
        ) }})

    The result is a whole query, so a model may also consist of it alone. Each append is prepared
    once from its own activity's rows and joined once, in a chain; the cohort is never joined to
    itself. Rows relate by customer, or by the column or feature that `entity` names.
#}
{% macro dataset(cohort, appends=[], stream=none, dims=[], entity=none) -%}
    {% do cdesk._as_check_arguments(
        'dataset', ['cohort', 'appends', 'stream', 'dims', 'entity'],
        kwargs, varargs, [cohort],
    ) %}
    {{ return(cdesk._as_dataset_sql(cohort, appends, stream, dims, entity)) }}
{%- endmacro %}
