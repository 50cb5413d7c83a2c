import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { HOLDING_VALUES, refuseUnimplementedInputs, unimplementedInputs } from '../../src/s3/implemented-inputs.ts';
import { OPERATION_INPUTS } from '../../src/s3/model/operation-inputs.ts';
import { OPERATION_TABLE } from '../../src/s3/operation-table.ts';
import type { OperationRow } from '../../src/s3/operation.ts';
import { OUTPUT_PATH, renderOperationInputs } from '../../tools/extract-s3-model.ts';
import { COMPATIBILITY_PATH, renderCompatibility } from '../../tools/generate-compatibility.ts';

/** Rows that are no operations of AWS's model. */
const BESIDE_THE_MODEL = ['PostObject', 'PreflightRequest'];

const implementedRows = OPERATION_TABLE.filter(
  ({ handler, sameRequestAs }) => handler !== 'not-implemented' && sameRequestAs === undefined,
);

function shapeOf(row: OperationRow): string {
  return [row.method, row.target, ...row.selectors.toSorted(), ...row.selectingHeaders.toSorted()].join(' ');
}

test('every operation of the model has exactly one row', () => {
  expect(Object.keys(OPERATION_INPUTS)).toHaveLength(116);
  expect(OPERATION_TABLE.map(({ name }) => name).sort()).toEqual(
    [...Object.keys(OPERATION_INPUTS), ...BESIDE_THE_MODEL].sort(),
  );
});

test('rows with the same request are resolved by sameRequestAs', () => {
  const matched = OPERATION_TABLE.filter(({ sameRequestAs }) => sameRequestAs === undefined);
  expect(new Set(matched.map(shapeOf)).size).toBe(matched.length);
  const others = OPERATION_TABLE.filter(({ sameRequestAs }) => sameRequestAs !== undefined);
  expect(others.map(({ name }) => name).sort()).toEqual([
    'GetBucketLifecycle',
    'GetBucketNotification',
    'ListDirectoryBuckets',
    'PutBucketLifecycle',
    'PutBucketNotification',
  ]);
  for (const row of others) {
    const twin = matched.find(({ name }) => name === row.sameRequestAs)!;
    expect(shapeOf(row)).toBe(shapeOf(twin));
  }
});

test.each(OPERATION_TABLE.map((row) => [row.name, row] as const))('%s names its action', (_name, row) => {
  expect(row.action).toMatch(/^s3(express|-object-lambda)?:[A-Z][A-Za-z]+$/);
  if (row.body === 'xml') expect(row.bodyLimitBytes).toBeGreaterThan(0);
});

test.each(implementedRows.map((row) => [row.name, row] as const))(
  '%s has a file and a function of its name',
  (name, row) => {
    const file = name.replaceAll(/(?<!^)(?=[A-Z])/g, '-').toLowerCase();
    expect(existsSync(new URL(`../../src/s3/operations/${file}.ts`, import.meta.url))).toBe(true);
    const handlerName = typeof row.handler === 'function' ? row.handler.name : '';
    // Handlers made by a factory have no name of their own.
    if (handlerName !== '') expect(handlerName).toBe(name[0]!.toLowerCase() + name.slice(1));
  },
);

test.each(implementedRows.map((row) => [row.name, row] as const))(
  '%s implements only inputs that the model knows',
  (name, row) => {
    // A preflight is the browser's, not in AWS's model.
    const { headers = [], query = [] } = OPERATION_INPUTS[row.inputsOf ?? name] ?? {};
    expect((row.implementedInputs ?? []).filter((input) => !headers.includes(input) && !query.includes(input))).toEqual(
      [],
    );
  },
);

const refusals = implementedRows.flatMap((row) => {
  const { headers, headerPrefixes, query } = unimplementedInputs(row);
  return [
    ...[...headers].map((input) => [row.name, 'header', input, row] as const),
    ...headerPrefixes.map((input) => [row.name, 'header', `${input}x`, row] as const),
    ...[...query].map((input) => [row.name, 'query parameter', input, row] as const),
  ];
});

test('there are inputs to refuse', () => expect(refusals.length).toBeGreaterThan(50));

test.each(refusals)('%s answers 501 to the %s %s', (_name, kind, input, row) => {
  const headers = new Map(kind === 'header' ? [[input, 'some-value']] : []);
  const query = new Map(kind === 'header' ? [] : [[input, 'some-value']]);
  try {
    refuseUnimplementedInputs(row, headers, query);
  } catch (error) {
    expect(error).toBeInstanceOf(S3Error);
    const { code, details } = error as S3Error;
    if (input === 'x-amz-storage-class') expect(code).toBe('InvalidStorageClass');
    else if (input === 'x-amz-acl') expect(code).toBe('InvalidArgument');
    else expect([code, Object.values(details)]).toEqual(['NotImplemented', [input]]);
    return;
  }
  expect.fail('accepted and ignored');
});

test.each(
  refusals.flatMap(([name, , input, row]) =>
    (HOLDING_VALUES.get(input) ?? []).map((value) => [name, input, value, row] as const),
  ),
)('%s passes %s: %s, which states what holds', (_name, input, value, row) => {
  expect(() => refuseUnimplementedInputs(row, new Map([[input, value]]), new Map())).not.toThrow();
});

test('the inputs come from the installed model', () => {
  expect(readFileSync(OUTPUT_PATH, 'utf8')).toBe(renderOperationInputs());
});

test('docs/S3-COMPATIBILITY.md is what the table generates', () => {
  expect(readFileSync(COMPATIBILITY_PATH, 'utf8')).toBe(renderCompatibility());
});
