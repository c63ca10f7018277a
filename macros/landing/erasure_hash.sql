{#
    A customer as the table `erasures` knows it: a keyed hash, so that the table alone tells nobody
    who was erased. Null where there is no key, which is as long as nobody was.
#}
{% macro erasure_hash(key, customer) -%}
    {{ cdesk.hash_text(key ~ " || " ~ cdesk.hash_text(key ~ " || " ~ customer)) }}
{%- endmacro %}
