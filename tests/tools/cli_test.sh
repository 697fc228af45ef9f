#!/usr/bin/env bash
# The program as a person meets it: every command, exit statuses, one-line errors, nothing half-written.
#   cli_test.sh GEMEL_BINARY TREE BUILD
set -uo pipefail
source "$(dirname "$0")/cli_support.sh"
train=(train "$data" --net tiny.net --device cpu --loss contrastive --batch 8 --seed 3)

# ---- help, version, usage
status 0 --help && says 'verify'
status 0 --version && says '^gemel [0-9]'
for command in train eval verify embed enroll identify search oneshot extract import info check bench devices; do
  status 0 "$command" --help && says 'Example'
done
bad 'subcommand'
bad 'see gemel --help' fly
bad 'see gemel verify --help' verify
bad 'required' train
bad 'out.*-o' train "$data"
bad 'optimizer.*see gemel train --help' "${train[@]}" -o m.safetensors --optimizer adagrad
bad 'schedule' "${train[@]}" -o m.safetensors --schedule cubic
bad 'every' "${train[@]}" -o m.safetensors --schedule step
bad 'loss.*contrastive' train "$data" --loss hinge -o m.safetensors
bad 'loss triplet has no temperature' train "$data" --loss triplet --temperature 0.5 -o m.safetensors
bad 'lr' "${train[@]}" -o m.safetensors --lr -1
bad 'augment.*koch' "${train[@]}" -o m.safetensors --augment cubist
bad 'scale.*LOW:HIGH' "${train[@]}" -o m.safetensors --scale 2
bad 'positive factors' "${train[@]}" -o m.safetensors --scale 0:1
bad 'patience requires' "${train[@]}" -o m.safetensors --patience 2
bad 'excludes' "${train[@]}" -o m.safetensors --steps 3 --epochs 3
bad 'device' "${train[@]/cpu/tpu}" -o m.safetensors

# ---- devices
status 0 devices && says '^cpu ' && says '^simt '
status 0 devices --json && json
grep -q '"available": true' stdout || fail "devices --json tells of no available device"

# ---- train, info
status 0 "${train[@]}" --steps 120 --lr 0.003 -o m.safetensors --report report.html --json
json
notes 'step 120/120'
[ "$(tr '\r' '\n' <stderr | wc -l)" -le 20 ] || fail "more than 20 lines of progress where no terminal is"
grep -q '<svg' report.html || fail "the report has no plot"
grep -q 'data:image/png;base64,' report.html || fail "the report has no pictures"
grep -Eq 'https?://|<script' report.html && fail "the report reaches outside"
auc=$(sed -n 's/.*"auc": \([0-9.]*\).*/\1/p' stdout)
awk -v auc="$auc" 'BEGIN { exit !(auc >= 0.95) }' || fail "bars are not learnt: AUC '$auc'"
status 0 "${train[@]}" --steps 5 -o again.safetensors && says 'threshold: ' && says 'health: '
status 0 "${train[@]}" --steps 5 -o twice.safetensors
cmp -s again.safetensors twice.safetensors || fail "the same seed and device, another model"
status 0 info m.safetensors && says 'threshold  *[0-9.]+ \(accuracy' && says 'Conv2d' && says 'trained .*contrastive'
status 0 info m.safetensors --json && json
status 0 info lenet && says 'linear|Linear'
status 0 info tiny.net --json && json
printf 'input 16x16x1\nconv 4 3x3\n' > image.net
status 0 info image.net --json && json && grep -q '"output": "14x14x4"' stdout || fail "info of an image to an image"
status 0 "${train[@]}" --overfit-batch --steps 200 --lr 0.003 && notes 'learnt by heart'
status 1 "${train[@]}" --overfit-batch --steps 1 --lr 1e-9 --optimizer sgd && notes 'NOT'
for loss in contrastive-all triplet batch-hard batch-all caffe-legacy nt-xent n-pair supcon multi-similarity softmax \
  arcface cosface koch chi2; do
  status 0 train "$data" --net tiny.net --device cpu --loss $loss --batch 8 --p 4 --k 2 --steps 3 -o other.safetensors
done
status 0 train "$data" --net tiny.net --device simt --loss triplet --p 4 --k 2 --steps 2 -o other.safetensors
status 0 "${train[@]}" --steps 2 --val "$data" --embedding 5 -o other.safetensors
status 0 info other.safetensors --json && grep -q '"embedding": 5' stdout || fail "--embedding has no effect"
status 0 "${train[@]}" --steps 12 --augment koch --flip 0.5 --quarter-turns --val-every 3 --patience 9 -o other.safetensors &&
  says 'augmented by rotate 10 shear 0.3 scale 0.8:1.2 shift 2 probability 0.5 flip 0.5' && notes 'validation AUC'
{ head -c 8 labels; for ((i = 0; i < identities * each; ++i)); do printf "\\x0$((i / identities % identities))"; done; } >mixed  # tells nothing
status 0 "${train[@]/$data/idx:images,mixed}" --steps 20 --lr 1e-9 --optimizer sgd -o other.safetensors &&
  [ "$(grep -c 'WARNING: step .* COLLAPSED' stderr)" -eq 1 ] || fail "a collapse is not told, or told twice: $err"

# Ctrl-C: stops, evaluates, saves. (timeout hands the signal on; a background process of a script would ignore SIGINT.
# --foreground: to the program alone; else timeout sends it to the group as well, and a second one ends the program.)
timeout --foreground --preserve-status -s INT 3 "$gemel" "${train[@]}" --steps 100000000 -o stopped.safetensors >stdout 2>stderr
[ $? -eq 0 ] || fail "Ctrl-C: exit status is not 0: $(<stderr)"
notes 'stopped at step'
status 0 info stopped.safetensors && says 'stopped at step'

# ---- import
: >empty.dat
bad 'required' import .
bad '--detector.*mmod_human_face_detector.dat' import -o f.safetensors
bad 'mmod_human_face_detector.dat: no such file' import . -o f.safetensors
bad 'empty.dat: is cut short at byte 0' import . --detector empty.dat --landmarks empty.dat --embedding empty.dat -o f.safetensors
bad 'no/such' import . -o no/such/f.safetensors
[ ! -e f.safetensors ] || fail "import leaves a file after an error"
if [ -n "${GEMEL_FACES:-}" ]; then
  status 0 import "$GEMEL_FACES" -o f.safetensors && says '128 numbers a face, 5,614,592 parameters; same person up to 0.60'
  status 0 info f.safetensors && says 'faces .*80x80 .*5 landmarks by 15 x 500 trees' && says 'trained .*CC0'
  status 0 info f.safetensors --json && json
fi

# ---- eval
status 0 eval m.safetensors "$data" --device cpu && says 'AUC' && says 'recall@1' && says "at the model's threshold"
status 0 eval m.safetensors "$data" --device cpu --pairs 50 --json --report eval.html && json
[ -s eval.html ] || fail "eval writes no report"

# ---- extract, verify
status 0 extract "$data" --rows 0:8 -o pictures --by-identity
status 0 extract "$data" --rows 0,4,1 -o pictures && [ "$(wc -l <stdout)" -eq 3 ] || fail "extract does not name its files"
status 0 extract "$data" --rows 0:8 -o folder --by-identity
[ -s folder/0/000000.png ] || fail "extract --by-identity: no folder/0/000000.png"
a=pictures/000000_0.png same=pictures/000004_0.png different=pictures/000001_1.png
status 0 verify m.safetensors $a $same --device cpu && says 'same$' && says 'distance [0-9.]+  threshold [0-9.]+'
status 1 verify m.safetensors $a $different --device cpu && says 'different$'
status 0 verify m.safetensors $a $a --json --device cpu && json
grep -q '"distance": 0.0' stdout || fail "a picture differs from itself: $out"
odd=$(printf 'caf\351.png')  # a name that is no UTF-8
cp $a "$odd"
status 0 verify m.safetensors $a "$odd" --json --device cpu && json
status 0 embed m.safetensors "$odd" --json --device cpu && json
status 0 embed m.safetensors "$odd" --device cpu -o odd.json && json odd.json
status 0 embed m.safetensors "$odd" --device cpu -o odd.safetensors
status 1 verify m.safetensors $a $same --threshold 0 --device cpu
status 0 verify m.safetensors $a $a --threshold 0 --device cpu
status 1 verify m.safetensors $a $a --threshold -0.5 --device cpu && says 'threshold -0.5'
bad 'threshold' verify m.safetensors $a $a --threshold nan --device cpu
# A learnt metric goes with the model, the head of a softmax does not.
status 0 train "$data" --net tiny.net --device cpu --loss koch --batch 8 --steps 100 --lr 0.003 -o koch.safetensors
grep -qa 'weighted-l1' koch.safetensors && grep -qa '"metric.weight"' koch.safetensors || fail "the metric is not saved"
status 0 verify koch.safetensors $a $same --device cpu && says 'same$'
status 1 verify koch.safetensors $a $different --device cpu && says 'different$'
status 0 verify koch.safetensors $a $a --device simt && says 'distance 0.0000'
status 0 eval koch.safetensors folder --device cpu
status 0 train "$data" --net tiny.net --device cpu --loss arcface --logit-scale 16 --p 4 --k 2 --steps 3 -o arcface.safetensors
grep -qa 'head\.' arcface.safetensors && fail "a model keeps its loss's head"
status 0 eval arcface.safetensors folder --device cpu
{ printf 'P5 24 18 255\n'; head -c $((24 * 18)) images; } >large.pgm
status 0 verify m.safetensors large.pgm large.pgm --device cpu && notes 'large.pgm is 18x24; resized'
status 0 eval m.safetensors folder --device cpu

# ---- embed
status 0 embed m.safetensors $a $different --device cpu
[ "$(head -n 1 stdout)" = "file,label,e0,e1,e2,e3,e4,e5,e6,e7" ] || fail "CSV header: $(head -n 1 stdout)"
[ "$(wc -l <stdout)" -eq 3 ] || fail "two pictures are not two lines"
grep -q "^\"$data#5\",1," <("$gemel" embed m.safetensors "$data" --rows 5:7) || fail "rows of an IDX file are not named"
status 0 embed m.safetensors "$data" --json --device cpu && json
for kind in csv json safetensors; do
  status 0 embed m.safetensors folder -o e.$kind --device cpu
  [ -s e.$kind ] || fail "no e.$kind"
done
json e.json
status 0 embed m.safetensors "$data" --device cpu --compare-device simt && says 'same$'
status 0 embed m.safetensors "$data" --device cpu --compare-device simt --json && json

# ---- check, bench
status 0 check --device cpu --op linear && says 'linear_fprop .*ok'
status 0 check --device simt --op activation --json && json
for math in tf32 tf32x3 bf16; do status 0 check --device simt --op linear_fprop --math $math && says 'linear_fprop .*ok'; done
status 0 embed m.safetensors "$data" --device cpu --math tf32 && notes 'computes in fp32'
status 0 check --device cpu --op loss_reduce --gradients --json && json
bad 'known: .*conv2d_fprop' check --op fly
status 0 bench --device cpu --filter 'linear_fprop' --seconds 0.001 --json bench.json --html bench.html && says 'of peak'
json bench.json
[ "$(grep -c '<circle' bench.html)" -eq "$(grep -c '"tflops"' bench.json)" ] || fail "bench --html does not show every case of --json"
bad 'no ladders' bench --device cpu --rungs
status 0 bench --device cpu --quick --filter '^(linear|step lenet)' --seconds 0.001 && says '^step lenet .*images/s'
[ "$(grep -c '^linear_' stdout)" -eq 3 ] || fail "bench --quick is not one shape of each operation: $out"
bad 'regular expression' bench --filter '('
bad 'fits no case' bench --filter fly

# ---- the instrument, where the build has it
if grep -q 'GEMEL_HAVE_CHECK:INTERNAL=ON' "$3/CMakeCache.txt"; then
  status 0 profile --help && says 'Example'
  status 0 check --device check --op loss_reduce && says 'loss_reduce .*ok'
  status 0 profile paired_distance -o pages && says 'warp_distance.cuh:[0-9]* .*global load'
  grep -q 'Who touches what' pages/paired_distance.html || fail "no pictures in pages/paired_distance.html"
  status 0 profile loss_reduce --json && json
  status 0 profile linear_fprop --math tf32 && says 'mma_product_kernel'
  bad 'known: .*conv2d_fprop' profile fly
  bad 'or --all' profile
  bad 'no shape holds' profile loss_reduce --shape fly
else
  bad 'GEMEL_CHECK' check --device check --op loss_reduce
fi

# ---- bad input: IDX
head -c 1000 images >cut; bad 'cut' "${train[@]/$data/idx:cut,labels}" -o bad.safetensors
{ printf 'PNG!'; tail -c +5 images; } >magic; bad 'magic' "${train[@]/$data/idx:magic,labels}" -o bad.safetensors
head -c 12 labels >few; bad 'few' "${train[@]/$data/idx:images,few}" -o bad.safetensors
bad 'labels' "${train[@]/$data/idx:labels,images}" -o bad.safetensors
bad 'nowhere' "${train[@]/$data/idx:nowhere}" -o bad.safetensors
# folders
bad 'no such folder' "${train[@]/$data/nowhere}" -o bad.safetensors
mkdir -p one/a && cp $a one/a/ && bad 'identity' "${train[@]/$data/one}" -o bad.safetensors
cp -r folder hurt && : >hurt/1/000001.png && bad '000001.png.*empty' "${train[@]/$data/hurt}" -o bad.safetensors
head -c 90 folder/1/000001.png >hurt/1/000001.png; bad '000001.png' "${train[@]/$data/hurt}" -o bad.safetensors
echo text >hurt/1/000001.png; bad '000001.png' "${train[@]/$data/hurt}" -o bad.safetensors
bad 'rows' extract "$data" --rows 30:99 -o pictures
bad 'rows' extract "$data" --rows x -o pictures
# models
head -c 700 m.safetensors >short.safetensors; bad 'short.safetensors' verify short.safetensors $a $a
head -c 4 m.safetensors >stub.safetensors; bad 'stub.safetensors' verify stub.safetensors $a $a
: >empty.safetensors; bad 'empty.safetensors' info empty.safetensors
{ printf '\x00\x00\x00\x00\x00\x10\x00\x00'; tail -c +9 m.safetensors; } >huge.safetensors  # a header of 16 TiB
bad 'huge.safetensors.*header' verify huge.safetensors $a $a
sed 's/"F32"/"F64"/' m.safetensors >f64.safetensors; bad 'f64.safetensors' info f64.safetensors
bad 'no model|not a model|cannot|no such|missing' verify nowhere.safetensors $a $a
bad 'text.png' verify m.safetensors $a text.png
bad '\.csv' embed m.safetensors $a -o e.xls
# networks
printf 'input 12x12x1\nconv 4 3x3\ncovn 4 3x3\nlinear 8\n' >wrong.net
bad 'wrong.net:3: .*covn' "${train[@]/tiny.net/wrong.net}" -o bad.safetensors
printf 'input 12x12x1\nconv 4 13x13\nlinear 8\n' >small.net; bad 'small.net:2' "${train[@]/tiny.net/small.net}" -o bad.safetensors
bad 'nowhere.net' "${train[@]/tiny.net/nowhere.net}" -o bad.safetensors
[ -e bad.safetensors ] && fail "a failed training leaves a model"

# ---- places that cannot be written, told before training
bad 'full.*regular file' "${train[@]}" --steps 100000000 -o /dev/full
bad 'folder' "${train[@]}" --steps 100000000 -o nowhere/m.safetensors
bad 'folder|regular' "${train[@]}" --steps 100000000 -o folder
bad 'nowhere' "${train[@]}" --steps 100000000 -o n.safetensors --report nowhere/r.html
[ -c /dev/full ] || fail "/dev/full is no device any more"
if "$gemel" embed m.safetensors "$data" >/dev/full 2>stderr; then fail "a full disk behind stdout goes unnoticed"; fi
grep -q 'standard output' stderr || fail "a full disk behind stdout: $(<stderr)"
left_behind

# A full disk while the model is saved: the model before stays whole.
mkdir disk
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=64k tmpfs disk 2>/dev/null; then
  trap 'umount "$work/disk"; rm -rf "$work"' EXIT
  cp again.safetensors disk/m.safetensors
  head -c 40k /dev/zero >disk/filler
  printf 'input 12x12x1\nlinear 64\nlinear 64\n' >wide.net
  bad 'm.safetensors: cannot write' "${train[@]/tiny.net/wide.net}" --steps 2 -o disk/m.safetensors
  cmp -s again.safetensors disk/m.safetensors || fail "a full disk damages the model that was there"
  [ "$(ls disk)" = $'filler\nm.safetensors' ] || fail "a full disk leaves half a file: $(ls disk)"
else
  echo "skipped: a full disk (takes root and tmpfs)"
fi

[ $failures -eq 0 ] && echo "all right"
[ $failures -eq 0 ]
