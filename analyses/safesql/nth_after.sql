{{ cdesk.relationship_template('nth_after') }}
