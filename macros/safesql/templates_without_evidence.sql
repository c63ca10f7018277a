{#
    The templates whose results hold what a caller wrote (insights, details of single activities),
    as a list for `in`. A value found there proves nothing: whoever remembers it may have put it
    there. Each says `evidence: false` in its `meta`; tests/unit/test_evidence.py holds the two to
    each other.
#}
{% macro templates_without_evidence() -%}
    (
        'feature_values', 'first_after', 'first_before', 'first_ever', 'first_in_between',
        'insight_history', 'insights', 'last_after', 'last_before', 'last_ever', 'last_in_between',
        'nth_after', 'nth_before', 'nth_ever', 'provenance', 'quarantined_lines',
        'recent_activities'
    )
{%- endmacro %}
