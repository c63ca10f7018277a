{#
    Free text with e-mail addresses, card numbers, phone numbers and access tokens replaced by what
    they were. Errs on the side of masking: ten digits in a row are taken for a phone number.
#}
{% macro mask_pii(text) -%}
    {{ return(adapter.dispatch('mask_pii', 'cdesk')(text)) }}
{%- endmacro %}

{% macro default__mask_pii(text) -%}
    {%- set masked = namespace(sql=text) -%}
    {%- for pattern, replacement in cdesk.pii_patterns() -%}
        {%- set masked.sql = cdesk.replace_matches(masked.sql, pattern, replacement) -%}
    {%- endfor -%}
    {{ masked.sql }}
{%- endmacro %}

{#
    [pattern, replacement] in the order in which they apply: tokens first, since one may hold ten
    digits. No look-around: neither engine has it.
#}
{% macro pii_patterns() -%}
    {{ return([
        ['eyJ[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]*', '[token]'],
        ['(sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{10,}', '[token]'],
        ['(AKIA|ASIA)[A-Z0-9]{16}', '[token]'],
        ['[Bb]earer +[A-Za-z0-9._~+/=-]{8,}', '[token]'],
        ['[A-Fa-f0-9]{40,}', '[token]'],
        ['[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+', '[email]'],
        ['([0-9][ -]?){12,18}[0-9]', '[card]'],
        ['([+]|00)[1-9]([ ()./-]{0,2}[0-9]){6,14}', '[phone]'],
        ['[(]?[0-9]{3}[)]?[ ./-]{0,2}[0-9]{3}[ ./-]?[0-9]{4}', '[phone]'],
    ]) }}
{%- endmacro %}
