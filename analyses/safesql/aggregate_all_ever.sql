{{ cdesk.relationship_template('aggregate_all_ever') }}
