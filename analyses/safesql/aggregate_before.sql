{{ cdesk.relationship_template('aggregate_before') }}
