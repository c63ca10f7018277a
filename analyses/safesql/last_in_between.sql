{{ cdesk.relationship_template('last_in_between') }}
