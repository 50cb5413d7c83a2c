import { describe, expect, test } from 'vitest';
import { renderSelfTimes, selfTimes } from '../../../bench/throughput/cpu-profile.ts';
import { designLines, renderDesignLines } from '../../../bench/throughput/design-rows.ts';
import { scattered, sizeOf, treeKey } from '../../../bench/throughput/key-space.ts';
import { checkPage, expectedPage } from '../../../bench/throughput/list-operation.ts';
import { withoutSecrets } from '../../../bench/throughput/machine.ts';
import { UsageProblem, parseOptions, parseSize } from '../../../bench/throughput/options.ts';
import { alignColumns, number } from '../../../bench/throughput/render-table.ts';
import { renderBarChart } from '../../../bench/throughput/svg-chart.ts';

describe('options', () => {
  test('without --only every cell and every stage is measured', () => {
    const options = parseOptions([], {});
    expect(options).toMatchObject({
      isEndpointOnly: false,
      seconds: 5,
      stages: expect.arrayContaining(['large', 'idle']),
    });
  });

  test('an endpoint is measured alone, with keys from the environment or the URL', () => {
    const environment = { AWS_ACCESS_KEY_ID: 'K', AWS_SECRET_ACCESS_KEY: 'S' };
    expect(parseOptions(['--endpoint', 'http://h:1', '--compare', 'http://a:b%2F@i:2'], environment)).toMatchObject({
      isEndpointOnly: true,
      stages: [],
      endpoints: [
        { url: 'http://h:1', accessKeyId: 'K', secretAccessKey: 'S' },
        { url: 'http://i:2', accessKeyId: 'a', secretAccessKey: 'b/' },
      ],
    });
  });

  test.each([
    [['--only', 'put-5k'], 'no cell or stage put-5k'],
    [['--seconds', '0'], 'a positive number'],
    [['--endpoint', 'http://h:1'], 'no keys for h:1'],
    [['--nonsense'], 'nonsense'],
    [['--endpoint', 'http://K:S@h:1', '--only', 'large'], 'only for servers that the bench starts'],
  ])('%j is refused', (argv, message) => {
    expect(() => parseOptions(argv, {})).toThrow(UsageProblem);
    expect(() => parseOptions(argv, {})).toThrow(message);
  });

  test('sizes are read with their unit', () => {
    expect(['4096', '4k', '128KiB', '1m', '1G'].map(parseSize)).toEqual([4096, 4096, 131_072, 2 ** 20, 2 ** 30]);
  });
});

describe('listings', () => {
  const page = (names: readonly string[], isTruncated: boolean): string =>
    `<IsTruncated>${isTruncated}</IsTruncated>${names.map((name) => `<Key>${name}</Key>`).join('')}`;
  const expected = expectedPage({ first: 0, hasDelimiter: false }, { pageSize: 3, keyCount: 10 });
  const keys = [0, 1, 2].map(treeKey);

  test('the right page is right', () => expect(checkPage(page(keys, true), expected)).toBeUndefined());
  test('a missing key is found', () => expect(checkPage(page(keys.slice(1), true), expected)).toContain('name 0 is'));
  test('a page that is cut is found', () =>
    expect(checkPage(page(keys.slice(0, 2), true), expected)).toContain('2 names'));
  test('a key too many is found', () =>
    expect(checkPage(page([...keys, 'x'], true), expected)).toContain('more than 3'));
  test('a wrong end is found', () => expect(checkPage(page(keys, false), expected)).toContain('IsTruncated'));

  test('keys ascend with their index, and every index is written once', () => {
    const all = Array.from({ length: 1000 }, (_, index) => treeKey(index));
    expect(all.toSorted()).toEqual(all);
    expect(new Set(all.map((_, index) => scattered(index, 1000))).size).toBe(1000);
    const sizes = all.map((_, index) => sizeOf({ kind: 'tree', count: 1000 }, index));
    expect([Math.min(...sizes) >= 100, Math.max(...sizes) <= 1024]).toEqual([true, true]);
  });
});

describe('numbers of the design', () => {
  const figure = (id: string, server: string, value: number) => ({ id, server, value, unit: '', how: '' });

  test('a row is met only when bound and ratio are', () => {
    const figures = [figure('put-4k.ops', 'holdfast', 12_000), figure('put-4k.ops', 'minio', 400)];
    expect(designLines(figures, 'holdfast', 'minio')).toMatchObject([{ isReached: true, ratio: 30 }]);
    figures[1] = figure('put-4k.ops', 'minio', 700);
    expect(designLines(figures, 'holdfast', 'minio')).toMatchObject([{ isReached: false }]);
    figures[0] = figure('put-4k.ops', 'holdfast', 9999);
    expect(designLines(figures, 'holdfast', undefined)).toMatchObject([{ isReached: false, ratio: undefined }]);
  });

  test('degraded reads are held against healthy ones, lower is better for times', () => {
    const figures = [
      figure('get-64m.mib', 'holdfast', 1000),
      figure('get-64m-degraded.mib', 'holdfast', 599),
      figure('put-4k.p99', 'holdfast', 31),
    ];
    const lines = designLines(figures, 'holdfast', undefined);
    expect(lines.map(({ isReached }) => isReached)).toEqual([false, undefined, false]);
    expect(renderDesignLines(lines, undefined)).toMatch(/p99\s+NO\s+31\.0 ms\s+≤ 30/);
  });
});

test('self times are summed by function, idle time is no share', () => {
  const profile = {
    nodes: [
      { id: 1, callFrame: { functionName: '(idle)', url: '', lineNumber: -1 } },
      { id: 2, callFrame: { functionName: 'put', url: 'file:///x/dist/a.js', lineNumber: 9 } },
      { id: 3, callFrame: { functionName: 'put', url: 'file:///x/dist/a.js', lineNumber: 9 } },
      { id: 4, callFrame: { functionName: 'get', url: 'file:///x/dist/b.js', lineNumber: 0 } },
    ],
    samples: [1, 2, 3, 4],
    timeDeltas: [5000, 1000, 2000, 1000],
  };
  expect(selfTimes(profile)[1]).toEqual({ name: 'put', place: 'dist/a.js:10', selfMs: 3, share: 0.75 });
  expect(renderSelfTimes(profile)).toContain('75.0 %  put  dist/a.js:10');
});

test('the command line of a report has no keys and no folders of the machine', () => {
  const argv = ['--secret-key', 'S1', '--access-key=A1', '--compare', 'http://K:S2@h:1 http://L:S3@i:2', '/x/y/minio'];
  expect(withoutSecrets(argv).join(' ')).toBe(
    '--secret-key … --access-key=… --compare http://…@h:1 http://…@i:2 minio',
  );
  expect(withoutSecrets(['--out=/x/y/docs'])).toEqual(['--out=docs']);
});

test('columns line up and numbers keep three digits', () => {
  expect(
    alignColumns([
      ['a', 'b', 'c'],
      ['aaa', 'b', '10'],
    ]),
  ).toBe('a    b   c\naaa  b  10');
  expect([0.1234, 12.345, 1234.5, NaN].map(number)).toEqual(['0.12', '12.3', '1,235', '–']);
});

test('bars are longer for more, and names are escaped', () => {
  const bar = (value: number) => ({ series: 'a<b', value, text: String(value) });
  const svg = renderBarChart('t & u', [{ label: 'x', bars: [bar(10), bar(1000), bar(0)] }]);
  const widths = [...svg.matchAll(/<rect x="230"[^>]* width="([\d.]+)"/g)].map(([, width]) => Number(width));
  expect(widths[1]).toBeGreaterThan(widths[0] ?? Infinity);
  expect(widths[2]).toBe(0);
  expect(svg).toContain('a&lt;b');
  expect(svg).toContain('t &amp; u');
});
