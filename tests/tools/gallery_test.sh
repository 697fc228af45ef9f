#!/usr/bin/env bash
# Recognition and the further protocols of evaluation as a person meets them.
#   gallery_test.sh GEMEL_BINARY
set -uo pipefail
source "$(dirname "$0")/cli_support.sh"

status 0 train "$data" --net tiny.net --device cpu --loss contrastive --batch 8 --seed 3 --steps 120 --lr 0.003 -o m.safetensors
status 0 train "$data" --net tiny.net --device cpu --loss contrastive --batch 8 --seed 4 --steps 2 -o other.safetensors
status 0 extract "$data" --rows 0:12 -o people --by-identity      # 3 pictures of each of 4 people
status 0 extract "$data" --rows 12:20 -o later --by-identity
rm -r people/3                                                    # whom the gallery does not know
a=later/0/000012.png stranger=later/3/000015.png
line() { sed -n "$1p" stdout; }

# ---- enroll
status 0 enroll m.safetensors g people --device cpu
says '^9 pictures added, 0 renewed, 0 removed; g holds 9 of 3 people$'
status 0 enroll m.safetensors g people --device cpu && says '^0 pictures added, 9 renewed, 0 removed; g holds 9 of 3'
status 0 enroll m.safetensors g --name 'Dora, "D"' $stranger --device cpu && says '1 pictures added.* g holds 10 of 4'
status 0 enroll m.safetensors g --name 'Dora, "D"' later/3/000019.png --replace --json --device cpu && json
grep -q '"removed": 1' stdout && grep -q '"pictures": 10' stdout || fail "enroll --replace: $out"
status 0 search m.safetensors g later/3/000019.png --top 1 && line 2 | grep -q 'Dora, "D".*0.0000' || fail "not enrolled: $out"
status 0 enroll m.safetensors g --remove 'Dora, "D"' --device cpu && says '1 removed; g holds 9 of 3 people'
cp g before
bad "nobody named 'Eve'" enroll m.safetensors g --remove Eve
bad 'who is it' enroll m.safetensors g $a
bad 'nothing to do' enroll m.safetensors g
bad 'unknown' enroll m.safetensors g --name unknown $a
bad 'nowhere' enroll m.safetensors g nowhere
bad 'another model' enroll other.safetensors g people
bad 'folder' enroll m.safetensors nowhere/g people
mkdir nothing; bad 'nothing.*no pictures' enroll m.safetensors g nothing
cp -r people hurt; echo text >hurt/1/notes.txt; : >hurt/1/x.png
bad 'x.png.*empty' enroll m.safetensors g hurt
cmp -s g before || fail "a failed enroll changes the gallery"
rm hurt/1/x.png; status 0 enroll m.safetensors g2 hurt && says '9 pictures added'   # what is no picture by its name is passed over
cp $a hurt/; status 0 enroll m.safetensors g2 hurt && notes '1 pictures outside of any sub-folder'

# ---- identify
status 0 identify m.safetensors g $a --device cpu && says "^$a +0 +[0-9.]+$"
status 1 identify m.safetensors g $stranger --threshold 0 && says 'unknown +[0-9.]+$'
status 0 identify m.safetensors g $a $stranger --threshold 0                         # two pictures: no answer by status
status 0 identify m.safetensors g people/0/000000.png --threshold 0 --csv - 
[ "$out" = $'file,name,distance\npeople/0/000000.png,0,0' ] || fail "a picture of the gallery is not found in it: $out"
status 0 identify m.safetensors g later --device cpu
says 'people of the gallery: 6 pictures, 6 \(100.00 %\) right' && says '^strangers: 2 pictures, '
status 0 identify m.safetensors g later --json && json && grep -q '"right": 6' stdout || fail "identify --json: $out"
status 0 identify m.safetensors g later --threshold 1000 && says '2 \(100.00 %\) as somebody$'
mkdir flat; cp later/*/*.png flat; cp $a 'flat/a,"b".png'
status 0 identify m.safetensors g flat --csv flat.csv
[ "$(head -n 1 flat.csv)" = 'file,name,distance' ] && [ "$(wc -l <flat.csv)" -eq 10 ] || fail "CSV: $(<flat.csv)"
grep -q '^"flat/a,""b"".png",0,' flat.csv || fail "a name with a comma and quotes: $(<flat.csv)"
[ -z "$out" ] || fail "no truth in a flat folder, and yet: $out"
status 0 identify m.safetensors g $a --top 3 --threshold 1000 --csv -
[ "$(tail -n +2 stdout | cut -d, -f2 | sort | tr '\n' ' ')" = '0 1 2 ' ] || fail "--top 3 is not all three people: $out"
[ "$(tail -n +2 stdout | cut -d, -f3 | sort -g)" = "$(tail -n +2 stdout | cut -d, -f3)" ] || fail "not nearest first: $out"
bad 'another model' identify other.safetensors g $a
bad 'another model' search other.safetensors g $a
bad 'no such file' identify m.safetensors nowhere $a
bad 'is not a gallery.*gemel enroll' identify m.safetensors m.safetensors $a
head -c 700 g >cut; bad 'cut' identify m.safetensors cut $a
: >empty; bad 'empty' search m.safetensors empty $a
bad 'x.png' identify m.safetensors g hurt/1/x.png
echo text >hurt/1/x.png; bad 'x.png.*not a picture' identify m.safetensors g hurt
bad 'nothing.*no pictures' identify m.safetensors g nothing
bad 'excludes' identify m.safetensors g $a --csv - --json
status 0 enroll m.safetensors g3 --name x $a && status 0 enroll m.safetensors g3 --remove x && says 'holds 0 of 0 people'
bad 'holds nobody' identify m.safetensors g3 $a

# ---- search
status 0 search m.safetensors g $a --top 4
[ "$(wc -l <stdout)" -eq 5 ] && line 1 | grep -q '^rank  *name  *file  *distance$' || fail "search --top 4: $out"
status 0 search m.safetensors g people/1/000001.png --top 99 --json && json
[ "$(grep -c '"file"' stdout)" -eq 9 ] || fail "search --top 99 of 9 pictures: $out"
grep -m 1 -A 2 '"nearest"' stdout | grep -q '"name": "1"' || fail "the picture itself is not its nearest: $out"

# ---- eval: folds, lists of pairs, intervals
status 0 eval m.safetensors "$data" --folds 4 --report eval.html && says '^k-fold: .* over 4 folds of different images'
says 'AUC +[0-9.]+ +[0-9.]+ to [0-9.]+' && says '95 % intervals: 400 draws of 32 images' && says 'too few to tell'
grep -q 'Cross-validation' eval.html && grep -q 'class="map"' eval.html || fail "the report lacks folds or map"
status 0 eval m.safetensors "$data" --folds 2 --json && json && grep -q '"auc": \[' stdout || fail "no intervals: $out"
bad '30 folds' eval m.safetensors "$data" --folds 30
for person in ann bob; do
  mkdir -p lfw/$person
  for i in 1 2 3 4; do cp people/$([ $person = ann ] && echo 0 || echo 1)/00000$([ $person = ann ] && echo 0 || echo 1).png lfw/$person/${person}_000$i.png; done
done
printf '2\t1\nann\t1\t2\nann\t1\tbob\t1\nbob\t3\t4\nbob\t2\tann\t3\n' >pairs.txt
status 0 eval m.safetensors lfw --pairs-file pairs.txt
says '2 same and +2 different pairs' && says '^k-fold: 100.00 % accuracy, standard error 0.00 %, over 2 folds as listed'
status 0 eval m.safetensors lfw --pairs-file pairs.txt --json --report lfw.html && json
sed 's/bob\t3/bob\t9/' pairs.txt >wrong.txt; bad 'wrong.txt:4.*bob_0009' eval m.safetensors lfw --pairs-file wrong.txt
head -n 3 pairs.txt >short.txt; bad 'short.txt:1' eval m.safetensors lfw --pairs-file short.txt
bad 'nowhere' eval m.safetensors lfw --pairs-file nowhere.txt
bad 'excludes' eval m.safetensors lfw --pairs-file pairs.txt --folds 2

# ---- oneshot
for run in run01 run02; do
  mkdir -p runs/$run/test runs/$run/training
  for person in 0 1 2; do
    cp people/$person/00000$person.png runs/$run/training/class0$person.png
    cp later/$person/0000$((12 + person)).png runs/$run/test/item0$person.png
    echo "$run/test/item0$person.png $run/training/class0$person.png" >>runs/$run/class_labels.txt
  done
done
status 0 oneshot m.safetensors runs && says '^run01 +3 +3 +3 +100.00 %' && says '^100.00 % of 3-way one-shot trials right, 95 % interval'
status 0 oneshot m.safetensors runs --json && json
status 0 eval m.safetensors "$data" --oneshot runs --report shots.html && says '^one-shot: 100.00 %'
grep -q 'One-shot classification' shots.html || fail "the report lacks the one-shot trials"
echo "run01/test/item00.png" >>runs/run01/class_labels.txt; bad 'class_labels.txt:4' oneshot m.safetensors runs
bad 'run\*/class_labels' oneshot m.safetensors people
left_behind

[ $failures -eq 0 ] && echo "all right"
[ $failures -eq 0 ]
