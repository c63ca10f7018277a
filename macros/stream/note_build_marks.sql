{#
    A statement that notes the newest `column` of the model at hand (macro build_mark), for after it
    was built; with `revisions` the oldest revision in it as well, which stays the oldest: of lines
    that came late it looks back as far as `since`. Nothing where marks are no use.
#}
{% macro note_build_marks(column, revisions=false) -%}
    {{ return(adapter.dispatch('note_build_marks', 'cdesk')(column, revisions)) }}
{%- endmacro %}

{% macro default__note_build_marks(column, revisions) -%}
    {{ return('') }}
{%- endmacro %}

{% macro snowflake__note_build_marks(column, revisions) -%}
    {%- if not execute or not cdesk._is_there('build_marks') -%}
        {{ return('') }}
    {%- endif -%}
    {%- set newest = 'newest in ' ~ this.identifier -%}
    {%- set known = cdesk.build_mark(newest) %}
    merge into {{ cdesk._in_schema('build_marks') }} as known
    using (
        select '{{ newest }}' as mark, max({{ column }}) as instant
        from {{ this }}
        where {{ column }} <= {{ cdesk.utc_now() }}
        {%- if known %} and {{ column }} >= {{ known }}{% endif %}
        {%- if revisions %}
        union all
        select 'oldest revision' as mark, min({{ column }}) as instant
        from {{ this }}
        where kind = 'revision'
        {%- if known %}
            and {{ column }} >= {{ dbt.dateadd('second', -cdesk.overlap_seconds(), known) }}
        {%- endif %}
        {%- endif %}
    ) as found
        on known.mark = found.mark and found.instant is not null
    when matched and (
        (found.mark = 'oldest revision' and found.instant < known.instant)
        or (found.mark != 'oldest revision' and found.instant > known.instant)
    ) then update set instant = found.instant
    when not matched and found.instant is not null
        then insert (mark, instant) values (found.mark, found.instant)
{%- endmacro %}
