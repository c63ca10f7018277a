{{ cdesk.relationship_template('first_between_before') }}
