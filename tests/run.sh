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
# Dozens of processes are started, each of which would compile everything for itself.
unset PYTHONDONTWRITEBYTECODE

step=start
ran=
types=
found=
finish() {
	code=$?
	# It may have come to its end by itself.
	[ -z "$types" ] || kill "$types" 2>/dev/null || :
	rm -f "$found"
	[ $code -eq 0 ] || echo "make test: FAILED at $step (passed: ${ran:-nothing})"
}
trap finish EXIT

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

together() { "$BIN/python" -m pytest -q -rs -n 3 --dist worksteal -m "not alone" tests; }

alone() {
	# Nothing else need be looked at to find these.
	grep -rl --include="*.py" "mark\.alone" tests | xargs "$BIN/python" -m pytest -q -rs -m alone
}

begin lint
"$BIN/ruff" check
"$BIN/ruff" format --check
passed

begin imports
"$BIN/lint-imports"
passed

# Takes a single core for most of a minute where it knows nothing yet: tests wait often enough.
found=$(mktemp)
"$BIN/mypy" >"$found" 2>&1 &
types=$!

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
together
passed

begin types
code=0
wait "$types" || code=$?
types=
cat "$found"
[ $code -eq 0 ]
passed

begin "what measures times on SQLite and memory"
alone
passed

begin "suite on PostgreSQL and Redis"
if answer; then
	export EMOTRACK_TEST_POSTGRES="$POSTGRES" EMOTRACK_TEST_REDIS="$REDIS"
	together
	alone
	passed
else
	left_out "PostgreSQL and Redis do not both answer: this half of the suite does not run"
fi

echo "make test: OK ($ran)"
