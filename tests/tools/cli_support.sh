# What the tests of the program share, to be sourced with the binary as $1: a folder to work in, small data, and looks at
# exit statuses and errors.
gemel=$1
export LC_ALL=C GEMEL_THREADS=2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
failures=0

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

# status WANTED ARGS...: runs gemel; leaves $out and $err.
status() {
  local wanted=$1 got
  shift
  "$gemel" "$@" >stdout 2>stderr </dev/null
  got=$?
  out=$(<stdout) err=$(<stderr)
  [ "$got" -eq "$wanted" ] || fail "gemel $*: exit status $got, not $wanted; stderr: $err"
}
# bad PATTERN ARGS...: an input error: status 2, one line that begins with "gemel: " and fits PATTERN, nothing on stdout.
bad() {
  local pattern=$1 errors
  shift
  status 2 "$@"
  errors=$(grep -vE '^(gemel: note: |step [0-9])' stderr)
  [ "$(grep -c . <<<"$errors")" -eq 1 ] || fail "gemel $*: not one line: $errors"
  grep -Eq "^gemel: .*$pattern" <<<"$errors" || fail "gemel $*: '$errors' does not say '$pattern'"
  [ -z "$out" ] || fail "gemel $*: an error, and yet output: $out"
}
says() { grep -Eq -- "$1" stdout || fail "stdout has no '$1': $out"; }
notes() { grep -Eq -- "$1" stderr || fail "stderr has no '$1': $err"; }
json() { [ -z "$(command -v python3)" ] || python3 -m json.tool <"${1:-stdout}" >/dev/null || fail "not JSON: ${1:-$out}"; }
left_behind() { find . -name '*.tmp' -o -name '*.part' | grep . && fail "temporary files stay behind"; }

# ---- data: 4 identities x 8 images of 12x12, a bright bar where the identity says, noise from a fixed seed.
be32() { printf "\\x$(printf %02x $(($1 >> 24 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"; }
RANDOM=7
identities=4 each=8 side=12
{
  be32 $((0x803)); be32 $((identities * each)); be32 $side; be32 $side
  for ((i = 0; i < identities * each; ++i)); do
    bytes=
    for ((pixel = 0; pixel < side * side; ++pixel)); do
      value=$((RANDOM % 40))
      ((pixel / side / 3 == i % identities)) && value=$((200 + RANDOM % 50))
      printf -v bytes '%s\\x%02x' "$bytes" $value
    done
    printf "$bytes"
  done
} >images
{
  be32 $((0x801)); be32 $((identities * each))
  for ((i = 0; i < identities * each; ++i)); do printf "\\x0$((i % identities))"; done
} >labels
data=idx:images,labels
cat >tiny.net <<'N'
input 12x12x1
conv 4 3x3
relu
maxpool 2
linear 8
N
