{{ cdesk.relationship_template('aggregate_between_before') }}
