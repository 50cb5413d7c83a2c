#!/usr/bin/env node
'use strict';
// CommonJS on purpose: libuv reads the size of its thread pool at the first file call, and an ES module's own imports
// would come before that. 128 threads: a disk that hangs keeps the threads of its calls, and the others must go on.
process.env.UV_THREADPOOL_SIZE ??= '128';

const { existsSync } = require('node:fs');
const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

const main = join(__dirname, '..', 'dist', 'main.js');
if (!existsSync(main)) {
  process.stderr.write('holdfast is not built yet; run: npm run build\n');
  process.exit(1);
}
import(pathToFileURL(main).href).catch((error) => {
  process.stderr.write(`${error?.stack ?? error}\n`);
  process.exit(1);
});
