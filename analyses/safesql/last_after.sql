{{ cdesk.relationship_template('last_after') }}
