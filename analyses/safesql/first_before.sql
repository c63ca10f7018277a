{{ cdesk.relationship_template('first_before') }}
