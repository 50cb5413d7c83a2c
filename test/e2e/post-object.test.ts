import { createHash, randomBytes } from 'node:crypto';
import {
  CreateBucketCommand,
  DeletePublicAccessBlockCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FORM_HEADERS, formBody, type FormParts, signForm, signFormV2 } from '../support/post-form.ts';
import { TestServer } from '../support/server-process.ts';

const Bucket = 'uploads';
const OPEN = 'open';
const ANYTHING = ['starts-with', '$key', ''];

let server: TestServer;
let client: S3Client;

beforeAll(async () => {
  server = await TestServer.create({ environment: { HOLDFAST_CUSTOMER_KEYS_OVER_HTTP: 'true' } });
  client = server.client();
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new CreateBucketCommand({ Bucket: OPEN }));
  await client.send(new DeletePublicAccessBlockCommand({ Bucket: OPEN }));
  const statement = { Effect: 'Allow', Principal: '*', Action: 's3:PutObject', Resource: `arn:aws:s3:::${OPEN}/*` };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await client.send(new PutBucketPolicyCommand({ Bucket: OPEN, Policy }));
}, 60_000);

afterAll(async () => {
  client?.destroy();
  await server?.destroy();
});

function signed(conditions: readonly unknown[], options: { expiresInMs?: number; region?: string } = {}): FormParts {
  return signForm({ credential: server, conditions: [{ bucket: Bucket }, ...conditions], ...options });
}

async function post(
  parts: FormParts,
  { bucket = Bucket, headers = {} }: { bucket?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; code: string | undefined; text: string; headers: Headers }> {
  const answer = await fetch(`${server.endpoint}/${bucket}`, {
    method: 'POST',
    headers: { ...FORM_HEADERS, ...headers },
    body: formBody(parts),
    redirect: 'manual',
  });
  const text = await answer.text();
  return { status: answer.status, code: /<Code>(.*?)<\/Code>/.exec(text)?.[1], text, headers: answer.headers };
}

async function contentOf(Key: string, bucket = Bucket): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }));
  return Buffer.from(await Body!.transformToByteArray());
}

async function keyCount(Prefix: string): Promise<number> {
  return (await client.send(new ListObjectsV2Command({ Bucket, Prefix }))).KeyCount ?? 0;
}

describe('a form', () => {
  test('stores its file under its key and answers 204 with ETag and Location', async () => {
    const answer = await post([['key', 'plain.txt'], ...signed([ANYTHING]), ['file', 'content']]);
    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(answer.headers.get('etag')).toBe(`"${createHash('md5').update('content').digest('hex')}"`);
    expect(answer.headers.get('location')).toBe(`${server.endpoint}/${Bucket}/plain.txt`);
    expect((await contentOf('plain.txt')).toString()).toBe('content');
  });

  test.each([0, 1, 65_535, 3 * 1024 * 1024 + 1])('stores a file of %i bytes as it is', async (size) => {
    const content = randomBytes(size);
    const { status } = await post([['key', `size-${size}`], ...signed([ANYTHING]), ['file', content]]);
    expect(status).toBe(204);
    expect((await contentOf(`size-${size}`)).equals(content)).toBe(true);
  });

  test('stores metadata, headers, tags and a checksum that are fields, encrypted as they ask', async () => {
    const content = randomBytes(700_000);
    const key = randomBytes(32);
    const tagging = '<Tagging><TagSet><Tag><Key>a b</Key><Value>ü+= </Value></Tag></TagSet></Tagging>';
    const fields: [string, string][] = [
      ['Content-Type', 'text/plain'],
      ['Cache-Control', 'no-store'],
      ['x-amz-meta-Who', 'ü'],
      ['tagging', tagging],
      ['x-amz-server-side-encryption-customer-algorithm', 'AES256'],
      ['x-amz-server-side-encryption-customer-key', key.toString('base64')],
      ['x-amz-server-side-encryption-customer-key-MD5', createHash('md5').update(key).digest('base64')],
    ];
    const checksum = createHash('sha256').update(content).digest('base64');
    const conditions = fields.map(([name, value]) => ['eq', `$${name}`, value]);
    const parts: FormParts = [
      ...fields,
      ['x-amz-checksum-sha256', checksum],
      ['key', 'rich'],
      ...signed([ANYTHING, ...conditions]),
    ];
    expect((await post([...parts, ['file', content]])).status).toBe(204);
    const customer = {
      SSECustomerAlgorithm: 'AES256',
      SSECustomerKey: key.toString('base64'),
      SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
    };
    const head = await client.send(
      new HeadObjectCommand({ Bucket, Key: 'rich', ChecksumMode: 'ENABLED', ...customer }),
    );
    expect(head).toMatchObject({
      ContentType: 'text/plain',
      CacheControl: 'no-store',
      ContentLength: content.length,
      ChecksumSHA256: checksum,
      Metadata: { who: '=?UTF-8?B?w7w=?=' },
    });
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key: 'rich' }));
    expect(TagSet).toEqual([{ Key: 'a b', Value: 'ü+= ' }]);
    const wrong = parts.map((part): FormParts[number] => (part[0] === 'key' ? ['key', 'wrong'] : part));
    expect(await post([...wrong, ['file', 'other']])).toMatchObject({ status: 400, code: 'BadDigest' });
    expect(await keyCount('wrong')).toBe(0);
  });

  test.each([
    ['photo.jpg', 'dir/photo.jpg'],
    ['C:\\\\Users\\\\me\\\\photo.jpg', 'dir/photo.jpg'],
    ['../../etc/passwd', 'dir/passwd'],
    ['$&', 'dir/$&'],
  ])('sec_post_filename_has_no_path: ${filename} of %s gives the key %s', async (fileName, key) => {
    const parts: FormParts = [['key', 'dir/${filename}'], ...signed([['starts-with', '$key', 'dir/']])];
    const answer = await post([...parts, ['success_action_status', '201'], ['file', 'f', fileName]]);
    expect(answer).toMatchObject({ status: 403 });
    const covered: FormParts = [
      ['key', 'dir/${filename}'],
      ['success_action_status', '201'],
      ...signed([['starts-with', '$key', 'dir/'], { success_action_status: '201' }]),
    ];
    const written = await post([...covered, ['file', 'f', fileName]]);
    expect(written.status).toBe(201);
    expect(written.text).toContain(`<Key>${key.replace('&', '&amp;')}</Key>`);
    expect((await contentOf(key)).toString()).toBe('f');
  });

  test('answers as it asks', async () => {
    const ask = (name: string, value: string): Promise<Awaited<ReturnType<typeof post>>> =>
      post([['key', 'ask &'], [name, value], ...signed([ANYTHING, ['eq', `$${name}`, value]]), ['file', 'f']]);
    const etag = '%228fa14cdd754f91cc6554c9e71929cce7%22';
    expect(await ask('success_action_status', '200')).toMatchObject({ status: 200, text: '' });
    expect(await ask('success_action_status', '404')).toMatchObject({ status: 204 });
    const created = await ask('success_action_status', '201');
    expect(created.status).toBe(201);
    expect(created.text).toContain(
      `<PostResponse><Location>${server.endpoint}/${Bucket}/ask%20%26</Location><Bucket>${Bucket}</Bucket><Key>ask &amp;</Key><ETag>&quot;`,
    );
    const redirected = await ask('success_action_redirect', 'https://app.example/done?x=1#top');
    expect([redirected.status, redirected.headers.get('location')]).toEqual([
      303,
      `https://app.example/done?x=1&bucket=${Bucket}&key=ask%20%26&etag=${etag}#top`,
    ]);
  });

  test.each(['javascript:alert(1)', 'not a url', 'https://a.example/\r\nset-cookie: x=1', '//other.example'])(
    'sec_post_redirect_cannot_split_the_answer: %j is no address, and 204 is answered',
    async (target) => {
      const answer = await post([
        ['key', 'no-redirect'],
        ['success_action_redirect', target],
        ...signed([ANYTHING, ['starts-with', '$success_action_redirect', '']]),
        ['file', 'f'],
      ]);
      expect([answer.status, answer.headers.has('set-cookie')]).toEqual([204, false]);
    },
  );

  test('signed with Signature Version 2 is as good', async () => {
    const conditions = [{ bucket: Bucket }, ANYTHING];
    const parts = signFormV2({ credential: server, conditions });
    expect((await post([['key', 'v2'], ...parts, ['file', 'f']])).status).toBe(204);
    const wrong = signFormV2({
      credential: { accessKeyId: server.accessKeyId, secretAccessKey: 'x' },
      conditions,
    });
    expect(await post([['key', 'v2'], ...wrong, ['file', 'f']])).toMatchObject({ code: 'SignatureDoesNotMatch' });
  });
});

describe('a form is refused, and nothing stored:', () => {
  const policyOf = (document: unknown): string => Buffer.from(JSON.stringify(document)).toString('base64');

  test.each<[string, (conditions: typeof signed) => FormParts, number, string]>([
    [
      'sec_post_no_policy_on_a_private_bucket',
      () => [
        ['key', 'no/x'],
        ['file', 'f'],
      ],
      403,
      'AccessDenied',
    ],
    [
      'sec_post_unsigned_policy',
      () => [
        ['key', 'no/x'],
        ['policy', policyOf({})],
        ['file', 'f'],
      ],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_field_without_condition__CVE_2026_27607',
      (sign) => [['key', 'no/x'], ['x-amz-meta-a', 'b'], ...sign([ANYTHING]), ['file', 'f']],
      403,
      'AccessDenied',
    ],
    [
      'sec_post_condition_fails',
      (sign) => [['key', 'no/x'], ...sign([['starts-with', '$key', 'user/']]), ['file', 'f']],
      403,
      'AccessDenied',
    ],
    [
      'sec_post_policy_expired_by_one_second',
      (sign) => [['key', 'no/x'], ...sign([ANYTHING], { expiresInMs: -1000 }), ['file', 'f']],
      403,
      'AccessDenied',
    ],
    [
      'sec_post_field_after_file_counts_for_nothing',
      (sign) => [...sign([ANYTHING]), ['file', 'f'], ['key', 'no/x']],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_policy_after_file',
      (sign) => [['key', 'no/x'], ['file', 'f'], ...sign([ANYTHING])],
      403,
      'AccessDenied',
    ],
    [
      'sec_post_duplicate_field',
      (sign) => [['key', 'no/x'], ['Key', 'no/y'], ...sign([ANYTHING]), ['file', 'f']],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_two_files',
      (sign) => [['key', 'no/x'], ...sign([ANYTHING]), ['file', 'f'], ['file', 'g']],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_two_signatures',
      (sign) => [['key', 'no/x'], ...sign([ANYTHING]), ['AWSAccessKeyId', 'a'], ['file', 'f']],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_security_token',
      (sign) => [
        ['key', 'no/x'],
        ['x-amz-security-token', 't'],
        ...sign([ANYTHING, ['starts-with', '$x-amz-security-token', '']]),
        ['file', 'f'],
      ],
      400,
      'InvalidToken',
    ],
    [
      'sec_post_wrong_region',
      (sign) => [['key', 'no/x'], ...sign([ANYTHING], { region: 'eu-west-1' }), ['file', 'f']],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_header_injection__CVE_2021_3524',
      (sign) => [
        ['key', 'no/x'],
        ['Content-Disposition', 'a\r\nx: y'],
        ...sign([ANYTHING, ['starts-with', '$Content-Disposition', '']]),
        ['file', 'f'],
      ],
      400,
      'InvalidArgument',
    ],
    [
      'sec_post_metadata_name_that_is_no_header',
      (sign) => [
        ['key', 'no/x'],
        ['x-amz-meta-a b', 'v'],
        ...sign([ANYTHING, ['eq', '$x-amz-meta-a b', 'v']]),
        ['file', 'f'],
      ],
      400,
      'InvalidArgument',
    ],
    [
      'too large',
      (sign) => [['key', 'no/x'], ...sign([ANYTHING, ['content-length-range', 0, 3]]), ['file', 'four']],
      400,
      'EntityTooLarge',
    ],
    [
      'too large, as it streams',
      (sign) => [
        ['key', 'no/x'],
        ...sign([ANYTHING, ['content-length-range', 0, 1_000_000]]),
        ['file', Buffer.alloc(1_000_001)],
      ],
      400,
      'EntityTooLarge',
    ],
    [
      'too small',
      (sign) => [['key', 'no/x'], ...sign([ANYTHING, ['content-length-range', 5, 9]]), ['file', 'four']],
      400,
      'EntityTooSmall',
    ],
    ['no key', (sign) => [...sign([]), ['file', 'f']], 400, 'InvalidArgument'],
    ['an empty key', (sign) => [['key', '${filename}'], ...sign([ANYTHING]), ['file', 'f']], 400, 'InvalidArgument'],
    ['a long key', (sign) => [['key', 'x'.repeat(1025)], ...sign([ANYTHING]), ['file', 'f']], 400, 'KeyTooLongError'],
    [
      'what is not implemented',
      (sign) => [
        ['key', 'no/x'],
        ['x-amz-object-lock-event-hold', 'ON'],
        ...sign([ANYTHING, ['starts-with', '$x-amz-object-lock-event-hold', '']]),
        ['file', 'f'],
      ],
      501,
      'NotImplemented',
    ],
    [
      'a malformed policy',
      () => [['key', 'no/x'], ...signFormV2({ credential: server, conditions: [{}] }), ['file', 'f']],
      400,
      'InvalidPolicyDocument',
    ],
    ['no file', (sign) => [['key', 'no/x'], ...sign([ANYTHING])], 400, 'InvalidArgument'],
    [
      'a field of 20 KiB',
      (sign) => [['key', 'no/x'], ['x-ignore-a', 'x'.repeat(20_480)], ...sign([ANYTHING]), ['file', 'f']],
      400,
      'MaxPostPreDataLengthExceeded',
    ],
  ])('%s', async (_, parts, status, code) => {
    expect(await post(parts(signed))).toMatchObject({ status, code });
    expect(await keyCount('no/')).toBe(0);
  });

  test('sec_post_bucket_condition__CVE_2023_43040: a policy for one bucket does not write to another', async () => {
    const parts: FormParts = [['key', 'no/x'], ['bucket', Bucket], ...signed([ANYTHING]), ['file', 'f']];
    await client.send(new CreateBucketCommand({ Bucket: 'victim' }));
    expect(await post(parts, { bucket: 'victim' })).toMatchObject({ status: 403, code: 'AccessDenied' });
    const listed = await client.send(new ListObjectsV2Command({ Bucket: 'victim' }));
    expect(listed.KeyCount).toBe(0);
  });

  test('sec_post_headers_that_nothing_covers', async () => {
    const parts: FormParts = [['key', 'no/x'], ...signed([ANYTHING]), ['file', 'f']];
    const headers = { 'x-amz-meta-a': 'b' };
    expect(await post(parts, { headers })).toMatchObject({ status: 403, code: 'AccessDenied' });
    expect(await post(parts, { headers: { authorization: 'AWS a:b' } })).toMatchObject({ status: 400 });
    expect(await keyCount('no/')).toBe(0);
  });

  test('sec_post_cut_off: a form without its end', async () => {
    const body = formBody([['key', 'no/x'], ...signed([ANYTHING]), ['file', 'f']]);
    for (const length of [body.length - 4, body.length - 20, 100]) {
      const answer = await fetch(`${server.endpoint}/${Bucket}`, {
        method: 'POST',
        headers: FORM_HEADERS,
        body: body.subarray(0, length),
      });
      expect(answer.status).toBe(400);
      expect(await answer.text()).toContain('<Code>MalformedPOSTRequest</Code>');
    }
    expect(await keyCount('no/')).toBe(0);
  });

  test('what is no form', async () => {
    const answer = await fetch(`${server.endpoint}/${Bucket}`, { method: 'POST', body: 'a=b' });
    expect(answer.status).toBe(412);
  });
});

test('without a signature a form does what everybody may', async () => {
  expect(
    (
      await post(
        [
          ['key', 'x'],
          ['file', 'f'],
        ],
        { bucket: OPEN },
      )
    ).status,
  ).toBe(204);
  expect((await contentOf('x', OPEN)).toString()).toBe('f');
  const tagged: FormParts = [
    ['key', 'y'],
    ['tagging', '<Tagging><TagSet/></Tagging>'],
    ['file', 'f'],
  ];
  expect(await post(tagged, { bucket: OPEN })).toMatchObject({ status: 403, code: 'AccessDenied' });
  expect(
    await post(
      [
        ['key', 'x'],
        ['file', 'f'],
      ],
      { bucket: 'missing' },
    ),
  ).toMatchObject({ code: 'NoSuchBucket' });
});

test('Signature Version 2 is refused where the configuration turns it off', async () => {
  const strict = await TestServer.create({
    diskCount: 1,
    code: '1+0',
    environment: { HOLDFAST_SIGNATURE_V2: 'false' },
  });
  try {
    const conditions = [ANYTHING];
    const body = formBody([['key', 'k'], ...signFormV2({ credential: strict, conditions }), ['file', 'f']]);
    const answer = await fetch(`${strict.endpoint}/any`, { method: 'POST', headers: FORM_HEADERS, body });
    expect(answer.status).toBe(400);
    expect(await answer.text()).toContain('<Code>InvalidRequest</Code>');
  } finally {
    await strict.destroy();
  }
}, 60_000);
