{#
    A view: a hold that is placed or freed counts at once. Its owner may read who is held, its
    readers may not.
#}
{{ config(materialized='view') }}

with

artifacts as (

    select * from {{ ref('artifacts') }}

),

latest as (

    select *
    from artifacts
    qualify
        row_number() over (
            partition by customer, uri order by created_at desc, artifact_id desc
        ) = 1

),

kept as (

    select
        uri,
        customer,
        expires_at,
        (has_legal_hold or {{ cdesk.customer_is_held('customer') }}) as is_held
    from latest

)

select * from kept
