#!/bin/sh
# A compiler launcher: runs nvcc, keeps what ptxas says of registers (-Xptxas=-v) in OBJECT.ptxas instead of showing it.
object='' before=''
for argument; do
  [ "$before" = -o ] && object=$argument
  before=$argument
done
"$@" 2>"$object.log"
status=$?
grep '^ptxas info' "$object.log" >"$object.ptxas"
grep -v -e '^ptxas info' -e 'bytes stack frame' "$object.log" >&2
rm -f "$object.log"
exit $status
