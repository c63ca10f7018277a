{#
    What guards a relation, worked out from its real columns: every relation with `customer` shows
    each reader their own rows; any other shows readers nothing, unless it is declared to be for
    everyone (`meta: {audience: everyone}`). So a relation that nobody thought of is closed, not
    open.

    Arguments: `identifier`, and `columns`, a list of dbt columns (name, dtype) or none in a
    relation's own `config.meta`.
    Returns: `row_access`, the clause after `row access policy` or none; `masks`, column → policy;
    `columns`, the column names.
#}
{% macro _protection(identifier, columns, meta=none) -%}
    {%- if not cdesk._is_governed() -%}
        {{ return({'row_access': none, 'masks': {}, 'columns': []}) }}
    {%- endif -%}
    {%- set names = cdesk._snowflake_names() -%}
    {%- set meta = meta if meta is not none else config.get('meta', {}) -%}
    {%- set safe = meta.get('safe') or cdesk._safe_columns(model) -%}
    {%- set found = namespace(customer=none, first_text=none) -%}
    {%- set masks = {} -%}
    {%- set column_names = [] -%}
    {%- for column in columns -%}
        {%- set name = column.name | lower -%}
        {%- set is_text = cdesk._is_text(column.dtype) -%}
        {%- do column_names.append(name) -%}
        {%- if name == 'customer' -%}{%- set found.customer = name -%}{%- endif -%}
        {%- if is_text and found.first_text is none -%}
            {%- set found.first_text = name -%}
        {%- endif -%}
        {# of what the YAML gives no type a dry run says only what the name tells #}
        {%- set is_named = meta.get('audience') == 'everyone' or column.is_guessed -%}
        {%- set policy = cdesk._masking_policy(name, column.dtype, is_named, safe) -%}
        {%- if policy -%}{%- do masks.update({name: names[policy]}) -%}{%- endif -%}
    {%- endfor -%}
    {%- set relation = names.schema ~ '.' ~ identifier | lower -%}
    {%- if identifier | lower == 'customer_access' -%}
        {%- set row_access = names.access_rows ~ ' on (principal_kind, principal)' -%}
    {%- elif relation == names.landing -%}
        {%- set row_access = names.landing_rows ~ ' on (id)' -%}
    {%- elif found.customer and relation not in (names.holds, names.people) -%}
        {%- set row_access = names.customer_rows ~ ' on (customer)' -%}
    {%- elif meta.get('audience') == 'everyone' -%}
        {%- set row_access = none -%}
    {%- elif found.first_text -%}
        {%- set row_access = names.internal_rows ~ ' on (' ~ found.first_text ~ ')' -%}
        {# a column that decides on rows can't be masked as well #}
        {%- do masks.pop(found.first_text, none) -%}
    {%- else -%}
        {{ exceptions.raise_compiler_error(
            identifier ~ ": no column of type text to guard its rows by; add one, or declare it "
            ~ "with meta: {audience: everyone}") }}
    {%- endif -%}
    {{ return({'row_access': row_access, 'masks': masks, 'columns': column_names}) }}
{%- endmacro %}

{% macro _is_text(data_type) -%}
    {{ return(
        (data_type | upper).split('(')[0] in ('TEXT', 'VARCHAR', 'STRING', 'CHARACTER VARYING')
    ) }}
{%- endmacro %}
