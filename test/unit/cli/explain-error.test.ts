import { expect, test } from 'vitest';
import { explainError } from '../../../src/cli/explain-error.ts';

function listenError(code: string, address: string, port: number): Error {
  return Object.assign(new Error(`listen ${code}`), { code, syscall: 'listen', address, port });
}

test('a state directory in which the socket cannot be made is named, with the line that gives it back', () => {
  const { message, exitCode } = explainError(listenError('EACCES', '/var/lib/holdfast/holdfast.sock', -1));
  expect(message).toContain('no permission to write in /var/lib/holdfast.');
  expect(message).toMatch(/sudo chown -R \d+:\d+ \/var\/lib\/holdfast && chmod u\+rwx \/var\/lib\/holdfast\n/);
  expect(message).not.toContain('port');
  expect(exitCode).toBe(1);
});

test('a port below 1024 that may not be opened is named, with one that may', () => {
  expect(explainError(listenError('EACCES', '127.0.0.1', 80)).message).toContain('--listen 127.0.0.1:9000');
});
