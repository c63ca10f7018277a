{{ cdesk.relationship_template('aggregate_in_between') }}
