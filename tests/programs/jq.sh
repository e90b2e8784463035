# Program: jq
# Package: jq
# Commands: jq
# Does: queries, joins and transforms of 80 files, streams, slurps, arguments and modules from files, malformed input
for i in $(seq 80); do printf '{"id": %d, "tags": ["t%d", "x"], "deep": {"n": %d.5}}\n' $i $((i % 7)) $i > d$i.json; done
jq -s 'map(.deep.n) | add' d*.json
jq -r '[.id, .tags[0]] | @csv' d1?.json
jq -n '[inputs | select(.tags[0] == "t3") | .id]' d*.json
jq -n 'reduce inputs as $d ({}; .[$d.tags[0]] += 1)' d*.json | tee counts
jq -c --slurpfile c counts '{id, n: $c[0][.tags[0]]}' d7.json
jq --rawfile r d8.json -n '$r | length'
jq --args -n '$ARGS' a b
jq -n 'input_filename, (input | input_filename)' d9.json
mkdir mods
echo 'def twice: . * 2;' > mods/m.jq
echo '{"k": 5}' > mods/data.json
jq -L mods -n 'import "m" as m; import "data" as $d; $d[0].k | m::twice'
echo '.id | tostring' > f.jq
jq -f f.jq d10.json d11.json
jq -r --stream -c 'select(length == 2)' d12.json | head -2
jq -R -s 'split("\n") | length' d13.json
jq . < d14.json > pretty
cat pretty
jq -S -j . pretty pretty > joined
wc -c joined
jq --tab . d15.json
jq -e .none d16.json
echo $?
echo '{bad' > bad.json
jq . bad.json
echo $?
jq . none.json
echo $?
jq '.id = 0' d17.json > d17.new && mv d17.new d17.json
cat d17.json | jq .id
seq 50000 | jq -n '[inputs] | add'
seq 20000 | jq -c '{n: .}' > big
jq -s 'map(.n) | max' big
jq -n 'env.PWD | split("/") | last'
jq --seq . d18.json | od -c | head -1
jq . .
echo $?
jq -n 'input_line_number, $__loc__.file'
jq . > none/x
jq -n '"a" | debug, stderr' 2> err
cat err
