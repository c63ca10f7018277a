{{ cdesk.relationship_template('first_ever') }}
