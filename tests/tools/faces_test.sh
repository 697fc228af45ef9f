#!/usr/bin/env bash
# From photographs to answers, with the published models (GEMEL_FACES: their folder) and photographs (GEMEL_DATA/photos).
#   faces_test.sh GEMEL_BINARY
set -uo pipefail
if [ ! -f "${GEMEL_FACES:-}/mmod_human_face_detector.dat" ] || [ ! -d "${GEMEL_DATA:-}/photos" ]; then
  echo "skipped: GEMEL_FACES names no folder of the published face models, or GEMEL_DATA no folder with photos/"
  exit 77
fi
source "$(dirname "$0")/cli_support.sh"
photos=$GEMEL_DATA/photos

status 0 import "$GEMEL_FACES" -o faces.safetensors && says '128 numbers a face'

# ---- verify
status 0 verify faces.safetensors "$photos/obama.jpg" "$photos/obama2.jpg" --device cpu && says '^distance 0.3[0-9]+  threshold 0.6000  same$'
status 1 verify faces.safetensors "$photos/obama.jpg" "$photos/biden.jpg" --device cpu && says '^distance 0.8[0-9]+ .*different$'
status 0 verify faces.safetensors "$photos/obama.jpg" "$photos/obama2.jpg" --json --annotate drawn --device cpu && json
grep -q '"same": true' stdout && [ -s drawn/obama.png ] && [ -s drawn/obama2.png ] || fail "verify --json --annotate: $out"
bad 'no face of 1000 pixels' verify faces.safetensors "$photos/obama.jpg" "$photos/biden.jpg" --min-face 1000
head -c 20000 "$photos/obama.jpg" >cut.jpg
bad 'cut.jpg' verify faces.safetensors cut.jpg "$photos/biden.jpg"

# ---- enroll, identify, search, embed
mkdir -p people/obama people/biden
cp "$photos/obama.jpg" people/obama/ && cp "$photos/biden.jpg" people/biden/
status 0 enroll faces.safetensors g people --device cpu && says '^2 pictures added.* g holds 2 of 2 people$'
status 0 identify faces.safetensors g "$photos/obama2.jpg" --device cpu && says 'obama2.jpg +obama +0.3'
status 0 identify faces.safetensors g "$photos/obama2.jpg" --csv - --device cpu && says '^file,name,distance$'
status 0 search faces.safetensors g "$photos/obama2.jpg" --device cpu && says '1 +obama'
status 0 embed faces.safetensors "$photos" --json --device cpu && json
[ "$(grep -c '"score"' <(tr ',' '\n' <stdout))" = 3 ] || fail "embed: not three faces: $out"

# ---- fine-tuning keeps what finds faces
cp "$photos/obama2.jpg" people/obama/ && cp "$photos/biden.jpg" people/biden/again.jpg
status 0 train people --from faces.safetensors --freeze -1 --val people --loss nt-xent --p 2 --k 2 --steps 2 -o own.safetensors --device cpu
status 0 verify own.safetensors "$photos/biden.jpg" "$photos/biden.jpg" --device cpu && says 'same$'
bad 'another model' identify own.safetensors g "$photos/obama2.jpg"

[ $failures -eq 0 ] && echo "all right"
[ $failures -eq 0 ]
