{#
    Of the results that are named, those that may be deleted. What is not in the answer must be
    kept.
#}
with

named as (

    select
        uri,
        customer,
        expires_at,
        is_held
    from {{ ref('artifact_retention') }}
    where
        {{ cdesk.named_in('uri', 'uris') }}
        and {{ cdesk.caller_rows('customer') }}

),

expired as (

    select uri
    from named
    group by uri
    having count_if(is_held or expires_at > {{ cdesk.utc_now() }}) = 0

)

select uri from expired
order by uri
