{#
    Free text with credentials and personal data replaced by what they were. The engine's own
    function, which `create_redaction` makes of the one list (cdesk/contract/redaction).
#}
{% macro redact_text(text) -%}
    {{ cdesk._redaction_function('redact_text') }}({{ text }})
{%- endmacro %}

{% macro _redaction_function(name) -%}
    {{ return(target.database ~ '.' ~ target.schema ~ '.' ~ name) }}
{%- endmacro %}
