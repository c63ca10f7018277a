{#-
    One row per day: what MetricFlow joins by, so that a day without activities counts 0. A day that
    hasn't come would count 0, too, and hold what has been counted so far.
-#}
{{ config(materialized='view') }}

with

numbers as (

    {{ dbt.generate_series(16384) | indent }}

),

days as (

    select
        cast(
            {{ dbt.dateadd(
                'day', 'cast(generated_number as integer) - 1', "cast('2020-01-01' as date)"
            ) }}
            as date
        ) as date_day
    from numbers

)

select * from days
where date_day <= cast({{ cdesk.cdesk_now() }} as date)
