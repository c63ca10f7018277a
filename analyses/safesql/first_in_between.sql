{{ cdesk.relationship_template('first_in_between') }}
