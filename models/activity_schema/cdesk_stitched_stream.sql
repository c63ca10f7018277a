{#- The one model that a project which depends on this one may have built. -#}
{{ config(materialized='table', enabled=cdesk._as_var('cdesk__activity_schema_stitch', false)) }}

with

stitched as (

    {{ cdesk.stitch(cdesk.default_stream()) | indent }}

)

select * from stitched
