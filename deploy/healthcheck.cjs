'use strict';
// The HEALTHCHECK of the image: asks the admin listener whether the process lives. Liveness does not depend on disks:
// a container must not be replaced because a disk is.

const { get } = require('node:http');

const first = (process.env.HOLDFAST_ADMIN_LISTEN ?? '127.0.0.1:9001').trim().split(/[\s,]+/)[0];
if (first === '') {
  console.error('the admin listener is off (HOLDFAST_ADMIN_LISTEN is empty): nothing to ask');
  process.exit(1);
}
const separator = first.lastIndexOf(':');
const host = first.slice(0, separator).replace(/^\[|\]$/g, '');
const port = Number(first.slice(separator + 1));
const reachable = { '': '127.0.0.1', '0.0.0.0': '127.0.0.1', '::': '::1' };

const request = get({ host: reachable[host] ?? host, port, path: '/-/live', timeout: 4000 }, (answer) => {
  answer.resume();
  process.exitCode = answer.statusCode === 200 ? 0 : 1;
});
request.on('timeout', () => request.destroy(new Error('no answer in 4 s')));
request.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
