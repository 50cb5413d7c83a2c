import { S3Error } from '../../src/errors/s3-error.ts';
import { payloadOf } from './payload.ts';
import { elementOf, type CallOptions, type CallResult } from './service-fixture.ts';
import { md5Hex, multipartEtagOf, ServiceModel, type Observed, type ObjectValue } from './service-model.ts';
import type { SeededRandomness } from './simulated-randomness.ts';

export const BUCKET = 'bucket';
const KEY_COUNT = 14;
const PART_MINIMUM_BYTES = 5 * 1024 * 1024;
/** Biased to what is written in different ways: empty, shared stripes, the limit of small blobs, several stripes. */
const SIZES = [0, 1, 100, 4095, 4096, 4097, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 70_000, 300_000];
/** How a call ended: as the client knows it. `unknown`: 5xx, or the process died. */
export type Answer = { ok: CallResult } | { refused: S3Error } | 'unknown';

export interface Upload {
  readonly uploadId: string;
  readonly key: string;
  readonly note: string;
  /** Acknowledged parts; the client knows these ETags. */
  readonly parts: Map<number, Buffer>;
  /** Part numbers whose last upload had no answer. */
  readonly doubtfulParts: Set<number>;
  /** A Complete or Abort had no answer. */
  isDoubtful: boolean;
}

/** One call that runs beside others: which key it writes, how it is sent, what its answer means. */
export interface Operation {
  key: string;
  /** A key, or an upload, that must not be written in the same batch. */
  source?: string;
  name: string;
  options: CallOptions;
  /** Called once the batch is over. */
  judge(answer: Answer): void;
}

/** Makes random operations and knows what each answer to them means for the model. */
export class ServiceOperations {
  readonly model = new ServiceModel();
  readonly uploads = new Set<Upload>();
  readonly #random: SeededRandomness;
  #writes = 0;

  constructor(random: SeededRandomness) {
    this.#random = random;
  }

  make(): Operation | undefined {
    const key = `key/${this.#random.below(KEY_COUNT)}`;
    const dice = this.#random.below(100);
    if (dice < 40) return this.#put(key);
    if (dice < 60) return this.#read(key);
    if (dice < 70) return this.#delete(key);
    if (dice < 80) return this.#copy(key);
    if (dice < 84) return this.#createUpload(key);
    if (dice < 92) return this.#uploadPart();
    if (dice < 98) return this.#complete();
    return this.#abort();
  }

  #put(key: string): Operation {
    const value = this.makeValue(key, this.#random.pick(SIZES));
    const onlyNew = this.#random.below(6) === 0;
    const certain = this.model.certain(key);
    const ifMatch = !onlyNew && certain && this.#random.below(6) === 0 ? certain.etag : undefined;
    const options = putOptions(key, value);
    if (onlyNew) options.headers = { ...options.headers, 'if-none-match': '*' };
    if (ifMatch) options.headers = { ...options.headers, 'if-match': `"${ifMatch}"` };
    return {
      key,
      name: 'PutObject',
      options,
      judge: (answer) => {
        if (answer === 'unknown') return this.model.doubt(key, value);
        if ('ok' in answer) {
          if (onlyNew) this.model.keep(key, 'If-None-Match: * succeeded', (before) => !before);
          return this.model.acknowledge(key, value);
        }
        if (!onlyNew || answer.refused.code !== 'PreconditionFailed') throw answer.refused;
        this.model.keep(key, 'If-None-Match: * failed', (before) => before !== undefined);
      },
    };
  }

  #read(key: string): Operation {
    const options: CallOptions = { bucket: BUCKET, key };
    if (this.#random.below(2) === 0) {
      const start = this.#random.below(20_000);
      options.headers = { range: `bytes=${start}-${start + this.#random.below(80_000)}` };
    }
    return {
      key,
      name: 'GetObject',
      options,
      judge: (answer) => {
        if (answer !== 'unknown') this.judgeRead(key, answer, options.headers?.['range']);
      },
    };
  }

  judgeRead(key: string, answer: Exclude<Answer, 'unknown'>, range?: string): void {
    if ('refused' in answer && answer.refused.code === 'InvalidRange') {
      const start = Number(/=(\d+)/.exec(range ?? '')?.[1]);
      this.model.keep(key, `range at ${start} refused`, (value) => value !== undefined && value.body.length <= start);
      return;
    }
    this.model.observe(key, observedOf(answer));
  }

  #delete(key: string): Operation {
    return {
      key,
      name: 'DeleteObject',
      options: { bucket: BUCKET, key },
      judge: (answer) => {
        if (answer === 'unknown') return this.model.doubt(key, undefined);
        if ('refused' in answer) throw answer.refused;
        this.model.acknowledge(key, undefined);
      },
    };
  }

  /** Of a key whose value is known. Its bytes stay where they are. */
  #copy(key: string): Operation | undefined {
    const sources = this.model.keys().filter((each) => each !== key && this.model.certain(each));
    if (sources.length === 0) return undefined;
    const source = this.#random.pick(sources);
    const value = this.model.certain(source)!;
    return {
      key,
      source,
      name: 'CopyObject',
      options: {
        bucket: BUCKET,
        key,
        headers: { 'x-amz-copy-source': `${BUCKET}/${source}`, 'x-amz-copy-source-if-match': value.etag },
      },
      judge: (answer) => {
        const copied = { ...value };
        if (answer === 'unknown') return this.model.doubt(key, copied);
        if ('refused' in answer) throw answer.refused;
        this.model.acknowledge(key, copied);
      },
    };
  }

  #createUpload(key: string): Operation {
    const note = `u${++this.#writes}`;
    return {
      key: `create/${note}`,
      name: 'CreateMultipartUpload',
      options: { bucket: BUCKET, key, headers: { 'x-amz-meta-note': note } },
      judge: (answer) => {
        if (answer === 'unknown') return;
        if ('refused' in answer) throw answer.refused;
        this.uploads.add({
          uploadId: elementOf(answer.ok.body, 'UploadId')!,
          key,
          note,
          parts: new Map(),
          doubtfulParts: new Set(),
          isDoubtful: false,
        });
      },
    };
  }

  #uploadPart(): Operation | undefined {
    const upload = this.#pickUpload();
    if (!upload) return undefined;
    const isLarge = this.#random.below(12) === 0;
    const partNumber = isLarge ? 1 : 1 + this.#random.below(3);
    const sizeBytes = isLarge ? PART_MINIMUM_BYTES : this.#random.pick(SIZES);
    const body = payloadOf(`part-${++this.#writes}`, sizeBytes);
    return {
      key: `upload/${upload.uploadId}`,
      name: 'UploadPart',
      options: {
        bucket: BUCKET,
        key: upload.key,
        query: { uploadId: upload.uploadId, partNumber: String(partNumber) },
        body,
      },
      judge: (answer) => {
        if (answer === 'unknown') return void upload.doubtfulParts.add(partNumber);
        if ('refused' in answer) return this.endUpload(upload, answer.refused);
        upload.parts.set(partNumber, body);
        upload.doubtfulParts.delete(partNumber);
      },
    };
  }

  #complete(): Operation | undefined {
    const upload = this.#pickUpload((each) => each.parts.size > 0);
    if (!upload) return undefined;
    const numbers = [...upload.parts.keys()].toSorted((a, b) => a - b);
    // Only a last part may be small.
    const listed = numbers.filter(
      (number) => number === numbers.at(-1) || upload.parts.get(number)!.length >= PART_MINIMUM_BYTES,
    );
    const bodies = listed.map((number) => upload.parts.get(number)!);
    const value: ObjectValue = {
      body: Buffer.concat(bodies),
      etag: multipartEtagOf(bodies),
      note: upload.note,
    };
    const parts = listed.map(
      (number, index) => `<Part><PartNumber>${number}</PartNumber><ETag>"${md5Hex(bodies[index]!)}"</ETag></Part>`,
    );
    const { key } = upload;
    return {
      key,
      source: `upload/${upload.uploadId}`,
      name: 'CompleteMultipartUpload',
      options: {
        bucket: BUCKET,
        key,
        query: { uploadId: upload.uploadId },
        body: `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`,
      },
      judge: (answer) => {
        if (answer === 'unknown') {
          upload.isDoubtful = true;
          return this.model.doubt(key, value);
        }
        if ('refused' in answer) {
          const isExplained = answer.refused.code === 'InvalidPart' && listed.some((n) => upload.doubtfulParts.has(n));
          if (isExplained) return upload.parts.clear();
          return this.endUpload(upload, answer.refused);
        }
        this.uploads.delete(upload);
        // An earlier try without an answer may have been the one: then later writes stay.
        if (upload.isDoubtful) this.model.doubt(key, value);
        else this.model.acknowledge(key, value);
      },
    };
  }

  #abort(): Operation | undefined {
    const upload = this.#pickUpload();
    if (!upload) return undefined;
    return {
      key: `upload/${upload.uploadId}`,
      name: 'AbortMultipartUpload',
      options: { bucket: BUCKET, key: upload.key, query: { uploadId: upload.uploadId } },
      judge: (answer) => {
        if (answer === 'unknown') upload.isDoubtful = true;
        else if ('refused' in answer) this.endUpload(upload, answer.refused);
        else this.uploads.delete(upload);
      },
    };
  }

  /** An upload that may have been ended before may be gone; any other must be there. */
  endUpload(upload: Upload, refused: S3Error): void {
    if (refused.code !== 'NoSuchUpload' || !upload.isDoubtful) throw refused;
    this.uploads.delete(upload);
  }

  #pickUpload(isWanted: (upload: Upload) => boolean = () => true): Upload | undefined {
    const wanted = [...this.uploads].filter(isWanted);
    return wanted.length > 0 ? this.#random.pick(wanted) : undefined;
  }

  makeValue(key: string, sizeBytes: number): ObjectValue {
    const note = `${key}@${++this.#writes}`;
    const body = payloadOf(note, sizeBytes);
    return { body, etag: md5Hex(body), note };
  }
}

/** Neither writes what the other writes or copies from. */
export function areIndependent(one: Operation, other: Operation): boolean {
  return one.key !== other.key && one.source !== other.key && one.key !== other.source;
}

export function putOptions(key: string, value: ObjectValue): CallOptions {
  return { bucket: BUCKET, key, body: value.body, headers: { 'x-amz-meta-note': value.note } };
}

export function valueOf({ body, headers }: CallOptions): ObjectValue {
  const bytes = body as Buffer;
  return { body: bytes, etag: md5Hex(bytes), note: headers!['x-amz-meta-note']! };
}

export function observedOf(answer: Exclude<Answer, 'unknown'>): Observed | undefined {
  if ('refused' in answer) {
    if (answer.refused.code === 'NoSuchKey') return undefined;
    throw answer.refused;
  }
  const { headers, body } = answer.ok;
  const start = Number(/bytes (\d+)-/.exec(String(headers['content-range'] ?? ''))?.[1] ?? 0);
  const totalBytes = Number(/\/(\d+)$/.exec(String(headers['content-range'] ?? ''))?.[1] ?? body.length);
  if (Number(headers['content-length']) !== body.length) {
    throw new Error(`${body.length} bytes of ${String(headers['content-length'])}: a short body that ended well`);
  }
  return {
    bytes: body,
    start,
    etag: String(headers['etag']).slice(1, -1),
    totalBytes,
    note: String(headers['x-amz-meta-note']),
  };
}
