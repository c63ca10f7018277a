{{ cdesk.relationship_template('nth_in_between') }}
