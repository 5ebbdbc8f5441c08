#!/usr/bin/env bash
# Builds harness/plot/echarts/echarts.js from the npm package: the parts of ECharts that charts use, in one file that needs no
# network. The same versions give the same bytes. Needs Node.js.
#
#   scripts/echarts.sh
set -euo pipefail
cd "$(dirname "$0")/.."
folder=harness/plot/echarts
build=target/echarts
mkdir -p "$build"
cp "$folder/entry.js" "$build"
npm install --prefix "$build" --no-save --no-audit --no-fund --loglevel error echarts@6.1.0 esbuild@0.28.2
"$build/node_modules/.bin/esbuild" "$build/entry.js" --bundle --minify --format=iife --global-name=echarts --target=es2020 \
  '--define:process.env.NODE_ENV="production"' --legal-comments=inline \
  '--banner:js=/*! Apache ECharts 6.1.0 (Apache-2.0, The Apache Software Foundation) with zrender (BSD-3-Clause, Baidu Inc.) */' \
  --outfile="$folder/echarts.js"
cp "$build/node_modules/echarts/LICENSE" "$build/node_modules/echarts/NOTICE" "$folder"
cp "$build/node_modules/zrender/LICENSE" "$folder/LICENSE-zrender"
