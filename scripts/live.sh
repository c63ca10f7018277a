#!/bin/sh
# The `live` tests on a real Snowflake account: makes database CDESK_LIVE_TEST with its own roles and warehouses (prefix CDESK_LIVE), and drops them again.
#   SNOWFLAKE_ACCOUNT=… SNOWFLAKE_USER=… SNOWFLAKE_PRIVATE_KEY_PATH=… scripts/live.sh
# The user has to be able to use ACCOUNTADMIN. Costs about 0.2 credits.
set -eu
cd "$(dirname "$0")/.."
: "${SNOWFLAKE_ACCOUNT:?set it, with SNOWFLAKE_USER and SNOWFLAKE_PRIVATE_KEY_PATH (docs/snowflake.md, Connections)}"
: "${SNOWFLAKE_USER:?}"
exec "${PYTHON:-.venv/bin/python}" -m pytest -q -m live tests/live "$@"
