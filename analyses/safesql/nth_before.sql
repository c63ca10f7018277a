{{ cdesk.relationship_template('nth_before') }}
