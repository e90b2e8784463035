# Program: Node.js
# Package: nodejs
# Commands: node
# Does: fs synchronous, by callbacks and by promises on 100 files; streams, watchers left out; child processes, modules and import below the prefix, workers
cp "${0%.sh}.js" files.js
mkdir -p node_modules/package
echo '{"name": "package", "main": "lib.js"}' > node_modules/package/package.json
echo 'exports.name = "package"' > node_modules/package/lib.js
echo 'exports.name = module.id.split("/").pop()' > module.js
echo 'process.send({arg: process.argv[2], here: require("fs").readFileSync("q9", "utf8")})' > child.js
echo 'import fs from "node:fs"; export default fs.readFileSync(new URL("q6", import.meta.url), "utf8")' > esm.mjs
node files.js
echo "status $?"
node -e 'console.log(require("./module").name)' > said 2>&1
cat said
node -p 'require("fs").readFileSync(0, "utf8").length' < big
echo 'console.log("piped")' | node - > piped && cat piped
printf '#!/usr/bin/env node\nconsole.log(process.argv.length)\n' > script && chmod +x script && ./script a b
node none.js 2>&1 | grep -c MODULE_NOT_FOUND
rm big.gz absolute
