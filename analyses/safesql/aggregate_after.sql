{{ cdesk.relationship_template('aggregate_after') }}
