{{ cdesk.relationship_template('last_before') }}
