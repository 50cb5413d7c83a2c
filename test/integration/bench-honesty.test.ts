import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CELLS, type Cell } from '../../bench/throughput/cells.ts';
import { LoadGenerator } from '../../bench/throughput/load-generator.ts';
import { isFailed } from '../../bench/throughput/report.ts';
import { renderProblems } from '../../bench/throughput/render-table.ts';
import { type CellResult, CellRunner } from '../../bench/throughput/run-cell.ts';
import { parseEndpoint } from '../../bench/throughput/server-under-test.ts';
import { FakeS3Server, type Misbehaviour } from '../support/fake-s3-server.ts';

const SEED = 7;
let load: LoadGenerator;
let fake: FakeS3Server | undefined;

beforeAll(() => {
  load = new LoadGenerator({ seed: SEED, workerCount: 1 });
});

afterAll(async () => load.close());

afterEach(async () => fake?.stop());

const ROUNDS = 20;

/** Runs the cell until it has `seen` something, for on a busy machine a short one may not meet the fault. */
async function measure(
  fault: Misbehaviour,
  name: string,
  seen: (result: CellResult) => boolean = ({ summary }) => summary.operationCount > 0,
): Promise<CellResult> {
  fake = await FakeS3Server.start(fault);
  const address = parseEndpoint(fake.endpoint);
  const server = {
    name: 'fake',
    address,
    signer: {
      host: `127.0.0.1:${address.port}`,
      region: 'us-east-1',
      credential: { accessKeyId: 'A', secretAccessKey: 'B' },
    },
    processId: process.pid,
    own: undefined,
    stop: async () => undefined,
  };
  const settings = {
    bucket: 'bench',
    treeBucket: 'tree',
    treeKeyCount: 40,
    seconds: 0.3,
    warmUpSeconds: 0.1,
    profileFolder: undefined,
    seed: SEED,
  };
  const runner = new CellRunner({ server, load, settings });
  const cell = CELLS.find((candidate) => candidate.name === name) as Cell;
  // Larger objects: fewer of them have to be there before reads begin.
  const sizeBytes = cell.verb === 'get' || cell.verb === 'head' ? Math.max(65_536, cell.sizeBytes) : cell.sizeBytes;
  for (let round = 1; ; round += 1) {
    const result = await runner.run({ ...cell, sizeBytes, connectionCount: Math.min(4, cell.connectionCount) });
    if (seen(result) || round === ROUNDS) return result;
  }
}

const hasErrors = (result: CellResult): boolean => Object.keys(result.errors).length > 0;

const failed = (result: CellResult): boolean =>
  isFailed({ cells: [result], largeCells: [], figures: [], problems: [] });

describe('against a server that does what it says', () => {
  test.each(['put-4k', 'get-4k', 'head-4k', 'delete-4k', 'mixed', 'list', 'get-128k'])(
    '%s finds nothing',
    async (name) => {
      const result = await measure('none', name);
      expect(renderProblems([{ ...result, signedLate: 0 }])).toBe('');
      expect(failed(result)).toBe(false);
      expect(result.summary.operationCount).toBeGreaterThan(0);
      expect(result.summary.p50Ms).toBeGreaterThan(0);
    },
  );

  test('a cell of PUTs reads a sample back', async () => {
    const result = await measure('none', 'put-4k');
    expect(result.readBackCount).toBeGreaterThan(0);
  });
});

describe('reported as wrong, and the run fails', () => {
  const cases: [Misbehaviour, string, string | RegExp][] = [
    ['wrong-byte', 'get-4k', 'wrong bytes from'],
    ['wrong-byte', 'put-4k', 'wrong bytes from'],
    ['wrong-byte', 'get-128k', 'wrong bytes from'],
    ['other-object', 'get-4k', 'it starts with the start of operation'],
    ['short-body', 'get-4k', 'body of 65535 bytes instead of 65536'],
    ['dropped-write', 'put-4k', '404 for an acknowledged object'],
    ['dropped-write', 'mixed', '404 for an acknowledged object'],
    // The old version may have another size.
    ['kept-old-version', 'mixed', /wrong bytes from|instead of/],
    ['hidden-key', 'list', 'name 3 is'],
  ];
  test.each(cases)('%s in %s', async (fault, name, message) => {
    const result = await measure(fault, name, ({ wrongCount }) => wrongCount > 0);
    expect(renderProblems([result])).toContain('WRONG');
    expect(renderProblems([result])).toMatch(message);
    expect(failed(result)).toBe(true);
  });
});

describe('counted and printed as errors, which an honest server may have', () => {
  test('answers of 500', async () => {
    const result = await measure('error-500', 'put-4k', hasErrors);
    expect(result.errors['500 InternalError']).toBeGreaterThan(0);
    expect(renderProblems([result])).toContain('500 InternalError');
    expect(result.wrongCount).toBe(0);
  });

  test('a body that is cut off with its connection', async () => {
    const result = await measure('cut-body', 'get-4k', hasErrors);
    expect(renderProblems([result])).toContain('connection');
    expect(result.wrongCount).toBe(0);
    expect(failed(result)).toBe(false);
  });
});
