import { expect, test } from 'vitest';
import type { HttpExchange } from '../../../src/http/http-exchange.ts';
import { makeTestGate, makeTestLimits } from '../../support/caller-gate-fixture.ts';

const owner = { accountId: '123456789012', canonicalId: 'c', displayName: 'd' };
const session = { name: 's', issuedAtMs: 0, tags: [], facts: new Map<string, string[]>() };

function exchange(): HttpExchange {
  const access = { accessKeyId: '', bytesIn: 0, bytesOut: 0, body: undefined };
  return { access, remoteAddress: '192.0.2.1' } as unknown as HttpExchange;
}

test('all sessions of one user are one caller: more tokens bring no more requests', () => {
  const gate = makeTestGate({ limits: makeTestLimits({ keyRequests: 2 }) });
  const enter = (accessKeyId: string, entityId: string) =>
    gate.enter(exchange(), { type: 'user', accessKeyId, owner, entityId, session });
  void enter('ASIA1', 'AIDA1');
  void enter('ASIA2', 'AIDA1');
  expect(() => enter('ASIA3', 'AIDA1')).toThrow(expect.objectContaining({ code: 'SlowDown' }));
  expect(enter('ASIA4', 'AIDA2')).toBeUndefined();
});

test('keys of their own are callers of their own', () => {
  const gate = makeTestGate({ limits: makeTestLimits({ keyRequests: 1 }) });
  const enter = (accessKeyId: string) => gate.enter(exchange(), { type: 'root', accessKeyId, owner });
  void enter('AKIA1');
  expect(enter('AKIA2')).toBeUndefined();
  expect(() => enter('AKIA1')).toThrow(expect.objectContaining({ code: 'SlowDown' }));
});
