{#- From each customer's first `from_activity` to the first `to_activity` after it. -#}
with

converted as (

    {{ cdesk._as_dataset_sql(
        cohort=cdesk.activity({'sql': cdesk.bind('from')}, columns=['ts']),
        appends=[cdesk.first_after(
            cdesk.activity({'sql': cdesk.bind('to')}),
            columns=[cdesk.column('ts', as='converted_at')],
        )],
        stream=cdesk.events_stream(),
        scope=cdesk.caller_rows('customer') ~ ' and customer is not null',
        cohort_where='_occurrence = 1 and ' ~ cdesk.bound_span('_ts'),
    ) | indent }}

),

timed as (

    select {{ cdesk._as_seconds('ts', 'converted_at') }} as seconds
    from converted

),

percentiles as (

    select
        count(*) as customers,
        count(seconds) as converted,
        count(seconds) / nullif(cast(count(*) as double), 0) as conversion,
        min(seconds) as min_seconds,
        {%- for percent in [10, 25, 50, 75, 90, 95, 99] %}
        percentile_cont({{ percent / 100 }}) within group (order by seconds)
            as p{{ percent }}_seconds,
        {%- endfor %}
        max(seconds) as max_seconds
    from timed

)

select * from percentiles
