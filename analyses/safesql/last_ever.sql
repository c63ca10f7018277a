{{ cdesk.relationship_template('last_ever') }}
