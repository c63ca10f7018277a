{{ cdesk.relationship_template('last_between_before') }}
