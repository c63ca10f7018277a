with

stored as (

    select
        artifact_id,
        {{ cdesk.artifact_columns() }}
    from {{ ref('artifacts') }}
    where
        customer = {{ cdesk.bind('customer') }}
        and artifact_id = {{ cdesk.bind('artifact_id') }}

)

select * from stored
