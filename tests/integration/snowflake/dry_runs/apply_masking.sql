create or replace function CLAUDE_LOGS.ACTIVITIES.redact_document(document variant)
    returns variant
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
import re

SENSITIVE = re.compile(r"(^|_|-)(passwords?|passwd|secrets?|token|api_?keys?|access_?keys?|private_?keys?|authorization|cookies?|credentials?|ssn|iban|card_?numbers?|cvv|pin|e_?mails?|phones?|phone_?numbers?|mobile|address|date_of_birth)$", re.IGNORECASE)
PATTERNS = [
    (re.compile(r"eyJ[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]*"), "[token]"),
    (re.compile(r"(sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{10,}"), "[token]"),
    (re.compile(r"(AKIA|ASIA)[A-Z0-9]{16}"), "[token]"),
    (re.compile(r"[Bb]earer +[A-Za-z0-9._~+/=-]{8,}"), "[token]"),
    (re.compile(r"[A-Fa-f0-9]{40,}"), "[token]"),
    (re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+"), "[email]"),
    (re.compile(r"([0-9][ -]?){12,18}[0-9]"), "[card]"),
    (re.compile(r"([+]|00)[1-9]([ ()./-]{0,2}[0-9]){6,14}"), "[phone]"),
    (re.compile(r"[(]?[0-9]{3}[)]?[ ./-]{0,2}[0-9]{3}[ ./-]?[0-9]{4}"), "[phone]"),
]


def snake(key):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)


def redact(document):
    if isinstance(document, dict):
        return {
            key: "[masked]" if SENSITIVE.search(snake(key)) and value is not None else redact(value)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [redact(item) for item in document]
    if isinstance(document, str):
        for pattern, replacement in PATTERNS:
            document = pattern.sub(replacement, document)
    return document
$$;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_document as (value variant) returns variant ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_document(value) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_document set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_document(value) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_landing as (value variant) returns variant ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else iff(invoker_role() = 'CDESK_TRANSFORMER', value, null) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else iff(invoker_role() = 'CDESK_TRANSFORMER', value, null) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_json_text as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else to_json(CLAUDE_LOGS.ACTIVITIES.redact_document(coalesce(try_parse_json(value), to_variant('[unreadable]')))) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else to_json(CLAUDE_LOGS.ACTIVITIES.redact_document(coalesce(try_parse_json(value), to_variant('[unreadable]')))) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_text as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(value, 'eyJ[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]*', '[token]'), '(sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{10,}', '[token]'), '(AKIA|ASIA)[A-Z0-9]{16}', '[token]'), '[Bb]earer +[A-Za-z0-9._~+/=-]{8,}', '[token]'), '[A-Fa-f0-9]{40,}', '[token]'), '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+', '[email]'), '([0-9][ -]?){12,18}[0-9]', '[card]'), '([+]|00)[1-9]([ ()./-]{0,2}[0-9]){6,14}', '[phone]'), '[(]?[0-9]{3}[)]?[ ./-]{0,2}[0-9]{3}[ ./-]?[0-9]{4}', '[phone]') end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_text set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(value, 'eyJ[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]*', '[token]'), '(sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{10,}', '[token]'), '(AKIA|ASIA)[A-Z0-9]{16}', '[token]'), '[Bb]earer +[A-Za-z0-9._~+/=-]{8,}', '[token]'), '[A-Fa-f0-9]{40,}', '[token]'), '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+', '[email]'), '([0-9][ -]?){12,18}[0-9]', '[card]'), '([+]|00)[1-9]([ ()./-]{0,2}[0-9]){6,14}', '[phone]'), '[(]?[0-9]{3}[)]?[ ./-]{0,2}[0-9]{3}[ ./-]?[0-9]{4}', '[phone]') end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_link as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_substr(value, '[^?#]*'), 'eyJ[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]*', '[token]'), '(sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{10,}', '[token]'), '(AKIA|ASIA)[A-Z0-9]{16}', '[token]'), '[Bb]earer +[A-Za-z0-9._~+/=-]{8,}', '[token]'), '[A-Fa-f0-9]{40,}', '[token]'), '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+', '[email]'), '([0-9][ -]?){12,18}[0-9]', '[card]'), '([+]|00)[1-9]([ ()./-]{0,2}[0-9]){6,14}', '[phone]'), '[(]?[0-9]{3}[)]?[ ./-]{0,2}[0-9]{3}[ ./-]?[0-9]{4}', '[phone]') end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_link set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_substr(value, '[^?#]*'), 'eyJ[A-Za-z0-9_-]+[.][A-Za-z0-9_-]+[.][A-Za-z0-9_-]*', '[token]'), '(sk|pk|rk|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|hf|npm|pypi)[-_][A-Za-z0-9_-]{10,}', '[token]'), '(AKIA|ASIA)[A-Z0-9]{16}', '[token]'), '[Bb]earer +[A-Za-z0-9._~+/=-]{8,}', '[token]'), '[A-Fa-f0-9]{40,}', '[token]'), '[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+', '[email]'), '([0-9][ -]?){12,18}[0-9]', '[card]'), '([+]|00)[1-9]([ ()./-]{0,2}[0-9]){6,14}', '[phone]'), '[(]?[0-9]{3}[)]?[ ./-]{0,2}[0-9]{3}[ ./-]?[0-9]{4}', '[phone]') end;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_document to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_text to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_link to role CDESK_TRANSFORMER;

create tag if not exists CLAUDE_LOGS.ACTIVITIES.sensitive allowed_values 'document';

alter tag CLAUDE_LOGS.ACTIVITIES.sensitive set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter schema CLAUDE_LOGS.ACTIVITIES set tag CLAUDE_LOGS.ACTIVITIES.sensitive = 'document';

alter table CLAUDE_LOGS.ACTIVITIES.landing modify column payload set masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column question set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column message set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_file_events modify column path set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_events modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_events modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_artifacts modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_insights modify column subject set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_insights modify column metric set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_insights modify column value set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs modify column params set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs modify column evidence set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.events_live modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.events_live modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events modify column detail set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events modify column raw set masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column subject set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column metric set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column value set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column value_text set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.artifact_retention modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain modify column params set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain modify column evidence set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.context_cache modify column context set masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text force;

alter table CLAUDE_LOGS.ACTIVITIES.artifacts modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'apply_masking';

insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, fingerprint, applied_at) select 'apply_masking', '272c9bf6b24399ba30ab95d46c91d41b', sysdate();

