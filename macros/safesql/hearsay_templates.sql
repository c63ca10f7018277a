{#
    The templates whose results hold what a caller wrote (insights, details of single activities), as a list for `in`: finding a value there proves nothing,
    since whoever remembers it may have put it there. They say `evidence: false` in their `meta`; tests/unit/test_evidence.py holds that the two agree.
#}
{% macro hearsay_templates() -%}
    (
        'feature_values', 'first_after', 'first_before', 'first_ever', 'first_in_between', 'insight_history', 'insights',
        'insights_by_subject', 'insights_by_subject_metric', 'last_after', 'last_before', 'last_ever', 'last_in_between', 'nth_after', 'nth_before',
        'nth_ever', 'provenance', 'quarantined_lines', 'recent_activities'
    )
{%- endmacro %}
