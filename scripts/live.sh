#!/bin/sh
# The `live` tests on a real Snowflake account: makes database CDESK_LIVE_TEST with its own roles and
# warehouses (prefix CDESK_LIVE), runs build, landing, policies and tasks, drops it all again, and
# writes docs/live_report.md. At most 15 minutes and 2 credits. The user has to be able to use
# ACCOUNTADMIN.
#   scripts/live.sh --dry-run
#   SNOWFLAKE_ACCOUNT=… SNOWFLAKE_USER=… SNOWFLAKE_PRIVATE_KEY_PATH=… scripts/live.sh
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-.venv/bin/python}" -m tests.live.run "$@"
