{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('events') }}

),

public_columns as (

    select
        _activity_id as activity_id,
        ts,
        customer,
        activity,
        _anonymous_customer_id as anonymous_customer_id,
        {{ cdesk.public_features('activity', '_feature_json') | indent(8) }} as feature_json,
        revenue_impact,
        link
    from events

)

select * from public_columns
