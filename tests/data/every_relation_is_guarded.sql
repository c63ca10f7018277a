-- A relation without its row access policy, or a column without its masking policy. Reads what
-- stands in the warehouse, not what should.
-- depends_on: {{ ref('context_cache') }}
-- depends_on: {{ ref('events_live') }}
{{ cdesk.unguarded() }}
