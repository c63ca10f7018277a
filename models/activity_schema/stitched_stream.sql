{{ config(materialized='table', enabled=var('cdesk__activity_schema_stitch', false)) }}

with

stitched as (

    {{ cdesk.stitch() | indent }}

)

select * from stitched
