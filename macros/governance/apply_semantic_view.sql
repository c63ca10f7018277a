{#
    A semantic view over the stream, the model's calls and the insights, so that Cortex Analyst and
    Snowflake's own MCP server can be asked beside ours. Its columns are those of the dbt models,
    its comments their descriptions: what the YAML doesn't describe isn't in it. Readers' policies
    hold in it as in the models. The view is the transformer's, as the models are; under managed
    access its owner may not grant it. Run it as the administrator role after a build.
    https://docs.snowflake.com/en/sql-reference/sql/create-semantic-view

    dbt run-operation apply_semantic_view --target snowflake --args '{dry_run: true}'
#}
{% macro apply_semantic_view(dry_run=false) -%}
    {{ return(adapter.dispatch('apply_semantic_view', 'cdesk')(dry_run)) }}
{%- endmacro %}

{% macro default__apply_semantic_view(dry_run) -%}
    {{ cdesk._needs_snowflake('apply_semantic_view') }}
{%- endmacro %}

{% macro snowflake__apply_semantic_view(dry_run) -%}
    {{ cdesk._needs_setup(dry_run) }}
    {%- set names = cdesk._snowflake_names() -%}
    {{ cdesk._run_statements('apply_semantic_view', [
        "use role " ~ names.transformer,
        cdesk._semantic_view_sql() | trim,
        "use role " ~ names.admin,
        "grant select on semantic view " ~ names.semantic_view ~ " to role " ~ names.reader,
    ], dry_run) }}
{%- endmacro %}

{#
    alias → model, its key, its dimensions, and its metrics: name → expression and comment. A
    dimension's comment is its column's description; one that is `forgettable` says nothing of an
    insight that is forgotten, which no metric counts.
#}
{% macro _semantic_tables() -%}
    {{ return({
        'activities': {
            'model': 'events', 'key': '_activity_id',
            'dimensions': ['activity', 'customer', 'ts', 'activity_occurrence', '_session_id',
                '_source_system'],
            'metrics': {
                'activity_count': ['count(_activity_id)', 'How many activities.'],
                'customer_count': ['count(distinct customer)', 'How many customers.'],
                'session_count': ['count(distinct _session_id)', 'How many conversations.'],
            },
        },
        'model_calls': {
            'model': 'vw_llm_events', 'key': 'activity_id',
            'dimensions': ['activity', 'model', 'customer', 'ts', 'session_id'],
            'metrics': {
                'input_token_count': ['sum(input_tokens)', 'Tokens that went in.'],
                'output_token_count': ['sum(output_tokens)', 'Tokens that came out.'],
                'average_latency_ms': ['avg(latency_ms)', 'Milliseconds to an answer, on average.'],
            },
        },
        'insights': {
            'model': 'insight_atoms', 'key': 'insight_id',
            'dimensions': ['subject', 'metric', 'customer', 'ts', 'verified', 'is_current'],
            'forgettable': ['subject', 'metric', 'ts', 'verified'],
            'metrics': {
                'insight_count': ['count_if(not is_forgotten)', 'How many insights.'],
                'verified_count': ['count_if(verified and not is_forgotten)',
                    'How many of them a query of this system proves.'],
            },
        },
    }) }}
{%- endmacro %}

{#
    template → question, and the query that answers it over the names of the view: what the YAML of
    a template says as `semantic_query`. A test holds its rows to the template's.
    https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-analyst/verified-query-repository
#}
{% macro _verified_queries() -%}
    {%- set found = {} -%}
    {%- for node in graph.nodes.values() | sort(attribute='name')
        if node.resource_type == 'analysis' -%}
        {%- set said = node.config.get('meta', {}).get('semantic_query') -%}
        {%- if said -%}
            {%- do found.update({node.name: [said.question, said.sql.split() | join(' ')]}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}

{% macro _semantic_view_sql() -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set tables = cdesk._semantic_tables() -%}
    {%- set dimensions, metrics = [], [] -%}
    {%- for alias, table in tables.items() -%}
        {%- set described = cdesk._descriptions(table.model) -%}
        {%- for column in table.dimensions -%}
            {%- if column not in described -%}
                {{ exceptions.raise_compiler_error("apply_semantic_view: " ~ table.model
                    ~ " describes no column " ~ column) }}
            {%- endif -%}
            {%- set shown = "case when not is_forgotten then " ~ column ~ " end"
                if column in table.get('forgettable', []) else column -%}
            {%- do dimensions.append(alias ~ "." ~ column ~ " as " ~ shown ~ " comment = '"
                ~ described[column] ~ "'") -%}
        {%- endfor -%}
        {%- for metric, said in table.metrics.items() -%}
            {%- do metrics.append(alias ~ "." ~ metric ~ " as " ~ said[0] ~ " comment = '" ~ said[1]
                ~ "'") -%}
        {%- endfor -%}
    {%- endfor %}
create or replace semantic view {{ names.semantic_view }}
    tables (
        {%- for alias, table in tables.items() %}
        {{ alias }} as {{ names.schema }}.{{ table.model }} primary key ({{ table.key }}){{
            ',' if not loop.last }}
        {%- endfor %}
    )
    dimensions (
        {{ dimensions | join(',\n        ') }}
    )
    metrics (
        {{ metrics | join(',\n        ') }}
    )
    comment = 'What people do with Claude, what it costs, and what was learned'
    ai_verified_queries (
        {%- for name, said in cdesk._verified_queries().items() %}
        {{ name }} as (
            question '{{ said[0] | replace("'", "''") }}'
            sql '{{ said[1] | replace("'", "''") }}'
        ){{ ',' if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{# column → its description, in one line and without what would end a literal #}
{% macro _descriptions(model) -%}
    {%- set found = {} -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == model -%}
        {%- for column in node.columns.values() if column.description -%}
            {%- set text = column.description.split() | join(' ') -%}
            {%- do found.update({
                column.name | lower: text | replace("'", "''") | replace('\\', '')
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
