{{ cdesk.relationship_template('nth_between_before') }}
