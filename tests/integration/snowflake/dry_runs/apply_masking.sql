create or replace function CLAUDE_LOGS.ACTIVITIES.redact_document(document variant)
    returns variant
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
# cdesk/contract/redaction

def redact(value):
    return None if value is None else redact_value(value, personal=True)
$$;

create or replace function CLAUDE_LOGS.ACTIVITIES.redact_text(text varchar)
    returns varchar
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact'
    as $$
# cdesk/contract/redaction

def redact(value):
    return None if value is None else redact_text(value, personal=True)
$$;

create or replace function CLAUDE_LOGS.ACTIVITIES.redact_json_text(text varchar)
    returns varchar
    language python
    immutable
    runtime_version = '3.11'
    handler = 'redact_json'
    as $$
# cdesk/contract/redaction

class Digits(float):
    """A number with the digits that it was written with."""


def number(text):
    made = Digits(text)
    made.text = text
    return made


def written(value):
    if isinstance(value, dict):
        return "{" + ",".join(written(key) + ":" + written(value[key]) for key in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, Digits):
        return value.text
    return json.dumps(value, ensure_ascii=False)


def redact_json(text):
    if text is None:
        return None
    try:
        document = json.loads(text, parse_float=number)
    except (ValueError, RecursionError):
        return '"[unreadable]"'
    return written(redact_value(document, personal=True))
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
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_json_text(value) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_json_text(value) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_text as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(value) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_text set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(value) end;

create masking policy if not exists CLAUDE_LOGS.ACTIVITIES.mask_link as (value varchar) returns varchar ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(regexp_substr(value, '[^?#]*')) end;

alter masking policy CLAUDE_LOGS.ACTIVITIES.mask_link set body ->
case when value is null or current_role() in ('CDESK_TRANSFORMER', 'CDESK_ADMIN') then value else CLAUDE_LOGS.ACTIVITIES.redact_text(regexp_substr(value, '[^?#]*')) end;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_document to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_text to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text to role CDESK_TRANSFORMER;

grant apply on masking policy CLAUDE_LOGS.ACTIVITIES.mask_link to role CDESK_TRANSFORMER;

grant usage on function CLAUDE_LOGS.ACTIVITIES.redact_text(varchar) to role CDESK_TRANSFORMER;

create tag if not exists CLAUDE_LOGS.ACTIVITIES.sensitive allowed_values 'document';

alter tag CLAUDE_LOGS.ACTIVITIES.sensitive set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter schema CLAUDE_LOGS.ACTIVITIES set tag CLAUDE_LOGS.ACTIVITIES.sensitive = 'document';

alter table CLAUDE_LOGS.ACTIVITIES.landing modify column payload set masking policy CLAUDE_LOGS.ACTIVITIES.mask_landing force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column model set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_llm_events modify column question set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column tool set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column outcome set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column failed_in set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column error_code set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_tool_events modify column message set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_file_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_file_events modify column path set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_sql_events modify column session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.vw_sql_events modify column error_code set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_events modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_events modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_artifacts modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_insights modify column value set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs modify column params set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.stg_query_runs modify column evidence set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.events_live modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter view CLAUDE_LOGS.ACTIVITIES.events_live modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events modify column detail set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.quarantined_events modify column raw set masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _session_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter table CLAUDE_LOGS.ACTIVITIES.events modify column _anonymous_customer_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column anonymous_customer_id set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column feature_json set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter view CLAUDE_LOGS.ACTIVITIES.customer_stream modify column link set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column value set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.insight_atoms modify column value_text set masking policy CLAUDE_LOGS.ACTIVITIES.mask_text force;

alter view CLAUDE_LOGS.ACTIVITIES.artifact_retention modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain modify column params set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.provenance_chain modify column evidence set masking policy CLAUDE_LOGS.ACTIVITIES.mask_document force;

alter table CLAUDE_LOGS.ACTIVITIES.context_cache modify column context set masking policy CLAUDE_LOGS.ACTIVITIES.mask_json_text force;

alter table CLAUDE_LOGS.ACTIVITIES.artifacts modify column uri set masking policy CLAUDE_LOGS.ACTIVITIES.mask_link force;

delete from CLAUDE_LOGS.ACTIVITIES.applied_setup where step = 'apply_masking';

insert into CLAUDE_LOGS.ACTIVITIES.applied_setup (step, fingerprint, applied_at) select 'apply_masking', 'cafd25bdc80f87e390978b78cae0fe6b', sysdate();

