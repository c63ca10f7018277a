{#
    Records which SQL each template of this project has, in `template_versions`: what a run says of
    its template is compared with that (macros/memory/insight_runs.sql). Runs at the start of a dbt
    run that makes the views anew, as the first one of a changed project does; a refresh of the
    tables finds them recorded. What stands there stays: an upgrade doesn't take back what the
    template of before has proven.

    Arguments: `read`, the relations that the templates read. dbt has to know them of a hook before
    it renders SQL that names them.
#}
{% macro record_templates(read) -%}
    {%- if execute -%}
        {%- set relation = cdesk._template_versions() -%}
        {%- if load_relation(relation) is none -%}
            {%- do run_query(cdesk._create_template_versions_sql(relation)) -%}
            {%- do cdesk._believe_earlier_runs(relation) -%}
        {%- endif -%}
        {%- if 'model.cdesk.stg_query_runs' in selected_resources -%}
            {%- do run_query(cdesk._new_template_versions_sql(relation)) -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{% macro _template_versions() -%}
    {{ return(api.Relation.create(
        database=target.database, schema=target.schema, identifier='template_versions', type='table'
    )) }}
{%- endmacro %}

{% macro _create_template_versions_sql(relation) -%}
    create table if not exists {{ relation }} (
        template varchar not null,
        sql_hash varchar not null,
        first_built_at {{ dbt.type_timestamp() }} not null
    )
{%- endmacro %}

{#
    A warehouse of before has runs of templates whose SQL nobody recorded. What has landed until now
    is believed, once.
#}
{% macro _believe_earlier_runs(relation) -%}
    {%- set runs = load_relation(ref('provenance_chain')) -%}
    {%- if runs is not none -%}
        {%- set sql -%}
        insert into {{ relation }} (template, sql_hash, first_built_at)
        select
            template,
            {{ cdesk.template_sql_hash('sql_text') }} as sql_hash,
            min(_landed_at) as first_built_at
        from {{ runs }}
        group by 1, 2
        {%- endset -%}
        {%- do run_query(sql) -%}
    {%- endif -%}
{%- endmacro %}

{% macro _new_template_versions_sql(relation) -%}
    insert into {{ relation }} (template, sql_hash, first_built_at)
    with

    compiled as (
        {% for node in cdesk._templates_to_record() %}
        {%- set text = cdesk._as_string_literal(cdesk._normalised_sql(render(node.raw_code))) %}
        select
            '{{ node.name }}' as template,
            {{ cdesk.template_sql_hash(text) }} as sql_hash
        {{ 'union all' if not loop.last }}
        {% endfor %}
    )

    select
        compiled.template,
        compiled.sql_hash,
        {{ cdesk.utc_now() }} as first_built_at
    from compiled
    where not exists (
        select 1
        from {{ relation }} as known
        where known.template = compiled.template and known.sql_hash = compiled.sql_hash
    )
{%- endmacro %}

{#
    The templates whose SQL the hook can render. One that reads more than the hook says proves
    nothing until it does.
#}
{% macro _templates_to_record() -%}
    {%- set found = [] -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'analysis' -%}
        {%- set unsaid = node.depends_on.nodes | reject('in', model.depends_on.nodes) | list -%}
        {%- if unsaid -%}
            {%- do exceptions.warn(
                "record_templates: what " ~ node.name ~ " finds proves nothing, as it reads "
                ~ unsaid | join(', ') ~ "; name that in the hook in dbt_project.yml"
            ) -%}
        {%- else -%}
            {%- do found.append(node) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{#
    The SQL of a template as a run's record gives it: binds without their names, comments gone,
    blanks outside of quotes folded. The same as cdesk/contract/catalog.py makes of the catalog's.
#}
{% macro _normalised_sql(sql) -%}
    {%- set quoted = "'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"" -%}
    {%- set comment = '--[^\n]*|/[*].*?[*]/' -%}
    {%- set bare = modules.re.sub(
        '(?s)(' ~ quoted ~ ')|([?])/[*][^*]*[*]/|(' ~ comment ~ ')', '\\1\\2\\3', sql
    ) -%}
    {%- set words = modules.re.findall(
        '(?s)(?:' ~ quoted ~ '|(?!--|/[*])[^\\s\'"])+|' ~ comment, bare
    ) -%}
    {%- set kept = [] -%}
    {%- for word in words if not word.startswith('--') and not word.startswith('/*') -%}
        {%- do kept.append(word) -%}
    {%- endfor -%}
    {{ return((kept | join(' ')).rstrip('; ')) }}
{%- endmacro %}
