# SPDX-License-Identifier: MIT
#
# tools/compare_bench on small files: ratios, variants, wrong results, exit statuses.
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }
compare=$2/tools/compare_bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# status WANTED ARGS...
status() {
  local wanted=$1 got
  shift
  "$compare" "$@" >stdout 2>stderr
  got=$?
  [ "$got" -eq "$wanted" ] || fail "compare_bench $*: exit status $got, not $wanted: $(cat stdout stderr)"
}
says() { grep -Eq -- "$1" stdout || fail "no '$1' in: $(cat stdout)"; }

cat >before.json <<'JSON'
{"results": [{"name": "a", "ms": 4.0}, {"name": "b", "ms": 1.0}, {"name": "gone", "ms": 1.0}, {"name": "w", "problem": "off"}]}
JSON
cat >after.json <<'JSON'
{"results": [{"name": "a", "ms": 2.0}, {"name": "b", "ms": 1.25}, {"name": "new", "ms": 3.0}, {"name": "w", "ms": 1.0}]}
JSON
status 0 before.json after.json
says '^a +4 +2 +2.00x  faster$'
says '^b +1 +1.25 +0.80x  SLOWER$'
says '^gone +1 +-$'
says '^new +- +3$'
says '^w +WRONG +1$'
says '^2 compared: geometric mean 1.26x, 0.80x to 2.00x$'
status 1 before.json after.json --fail-above 20
status 0 before.json after.json --fail-above 30
status 0 before.json after.json --only '^b$' --noise 30 && says '^b .*0.80x$'
status 1 after.json before.json && says '^w +1 +WRONG$'
status 0 before.json after.json --sort ratio
[ "$(sed -n 2p stdout | cut -c1)" = b ] || fail "the slowest does not come first"

cat >peer.json <<'JSON'
{"results": [{"name": "a", "variant": "eager", "ms": 8.0}, {"name": "a", "variant": "compiled", "ms": 3.0}]}
JSON
status 0 peer.json after.json --only '^a$'
says '^a +eager +8 +2 +4.00x'
says '^a +compiled +3 +2 +1.50x'

cat >google.json <<'JSON'
{"benchmarks": [{"name": "a/iterations:1/manual_time", "run_type": "iteration", "real_time": 500.0, "time_unit": "us"},
                {"name": "a_mean", "run_type": "aggregate", "real_time": 1.0, "time_unit": "us"}]}
JSON
status 0 after.json google.json --only '^a$' && says '^a +2 +0.5 +4.00x'

echo '{"results": [{"name": "a"}]}' >no_time.json
echo '{' >cut.json
for bad in no_time.json cut.json missing.json /; do
  status 2 "$bad" after.json
  [ "$(grep -c . stderr)" -eq 1 ] || fail "$bad: not one line: $(cat stderr)"
  grep -q "^compare_bench: $bad" stderr || fail "$bad is not named: $(cat stderr)"
done
status 2 before.json after.json --only nothing
[ $failures -eq 0 ] || exit 1
