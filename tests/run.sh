#!/bin/sh
# Everything that must hold, for `make test`: lint, types, imports, and the suite on both sets of
# parts. PostgreSQL, Redis and Node are used where they are; EMOTRACK_REQUIRE_SERVICES=1 demands
# them, and then a skipped test fails too. Which ones: EMOTRACK_TEST_POSTGRES, EMOTRACK_TEST_REDIS.
set -eu
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin}
REQUIRED=${EMOTRACK_REQUIRE_SERVICES:-0}
POSTGRES=${EMOTRACK_TEST_POSTGRES:-postgresql://postgres@127.0.0.1/postgres}
REDIS=${EMOTRACK_TEST_REDIS:-redis://127.0.0.1:6379/0}
NODE=tests/node
unset EMOTRACK_TEST_POSTGRES EMOTRACK_TEST_REDIS

step=start
ran=
trap 'code=$?; if [ $code -ne 0 ]; then echo "make test: FAILED at $step (passed: ${ran:-nothing})"; fi' EXIT

begin() {
	step=$1
	echo "== $step"
}

passed() { ran="${ran:+$ran, }$step"; }

left_out() {
	echo "$1"
	[ "$REQUIRED" != 1 ]
	ran="${ran:+$ran, }WITHOUT $step"
}

answer() {
	"$BIN/python" - "$POSTGRES" "$REDIS" <<-'PYTHON'
		import asyncio
		import sys

		import asyncpg
		from redis.asyncio import Redis


		async def main(postgres: str, redis: str) -> None:
		    await (await asyncpg.connect(postgres, timeout=5)).close()
		    async with Redis.from_url(redis, socket_timeout=5) as client:
		        await client.ping()


		try:
		    asyncio.run(main(*sys.argv[1:]))
		except Exception as error:
		    sys.exit(f"{type(error).__name__}: {error}")
	PYTHON
}

suite() { "$BIN/python" -m pytest -q -rs "$@" tests; }

AT_ONCE="-n 3 --dist worksteal"

begin lint
"$BIN/ruff" check
"$BIN/ruff" format --check
passed

begin types
"$BIN/mypy"
passed

begin imports
"$BIN/lint-imports"
passed

begin "node packages"
if ! command -v npm >/dev/null; then
	left_out "npm is not here: tests of the official client are skipped"
elif [ $NODE/node_modules/.package-lock.json -nt $NODE/package-lock.json ]; then
	passed
elif (cd $NODE && npm ci --ignore-scripts --no-audit --no-fund); then
	passed
else
	left_out "npm ci did not work: tests of the official client are skipped"
fi

begin "suite on SQLite and memory"
suite $AT_ONCE -m "not alone"
suite -m alone
passed

begin "suite on PostgreSQL and Redis"
if answer; then
	export EMOTRACK_TEST_POSTGRES="$POSTGRES" EMOTRACK_TEST_REDIS="$REDIS"
	suite $AT_ONCE -m "not alone"
	suite -m alone
	passed
else
	left_out "PostgreSQL and Redis do not both answer: this half of the suite does not run"
fi

echo "make test: OK ($ran)"
