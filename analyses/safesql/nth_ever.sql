{{ cdesk.relationship_template('nth_ever') }}
