{{ cdesk.relationship_template('first_after') }}
