import { S3Error } from '../errors/s3-error.ts';

/** One field before the file, in the order sent. */
export interface FormField {
  /** As sent. */
  readonly name: string;
  readonly value: string;
}

/** What stands before the bytes of the file. */
export interface FormHead {
  readonly fields: readonly FormField[];
  /** As the client names it, path and all; empty: it names none. */
  readonly fileName: string;
}

/** S3's bound on everything before the file; here also on what may stand behind it. */
const FIELDS_LIMIT_BYTES = 20 * 1024;
const PART_HEAD_LIMIT_BYTES = 4 * 1024;
const LINE_END = Buffer.from('\r\n');
const HEAD_END = Buffer.from('\r\n\r\n');
const NOTHING = Buffer.alloc(0);
const IDENTITY_ENCODINGS = new Set(['7bit', '8bit', 'binary']);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The boundary of a `multipart/form-data` content type; `undefined`: it is none, or names no usable one. */
export function formBoundary(contentType: string | undefined): string | undefined {
  const match = /^multipart\/form-data\s*;(.*)$/i.exec(contentType?.trim() ?? '');
  const parameter = match === null ? null : /(?:^|;)\s*boundary=(?:"([^"]*)"|([^\s;"]+))\s*(?:;|$)/i.exec(match[1]!);
  const boundary = parameter?.[1] ?? parameter?.[2];
  return boundary !== undefined && /^[\x21-\x7e][\x20-\x7e]{0,69}$/.test(boundary) ? boundary : undefined;
}

/**
 * A form with one file, as a browser posts it: `readHead`, then `file`. The part named `file` is the file, whatever other
 * parts claim to be; what follows it is read, bounded and not used, and another file is refused. Memory is bounded by
 * the fields and what the socket delivers at once.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7578
 */
export class MultipartForm {
  readonly #source: AsyncIterator<Buffer, unknown>;
  readonly #delimiter: Buffer;
  /** Taken from the source and not yet used. The first delimiter has no line end of its own before it. */
  #buffer: Buffer = LINE_END;
  #isAtEnd = false;
  /** Of what is not the file. */
  #overheadBytes = 0;

  constructor(body: AsyncIterable<Buffer>, boundary: string) {
    this.#source = body[Symbol.asyncIterator]();
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  /**
   * Everything up to the first byte of the file.
   * @throws S3Error MalformedPOSTRequest | MaxPostPreDataLengthExceeded | InvalidArgument (no file) | what the body throws
   */
  async readHead(): Promise<FormHead> {
    const fields: FormField[] = [];
    await this.#readToDelimiter();
    for (;;) {
      const part = await this.#readPartHead();
      if (part === undefined) {
        throw new S3Error('InvalidArgument', {
          message: 'POST requires exactly one file upload per request.',
          details: { ArgumentName: 'file', ArgumentValue: '0' },
        });
      }
      if (part.name.toLowerCase() === 'file') return { fields, fileName: part.fileName };
      fields.push({ name: part.name, value: textOf(await this.#readToDelimiter()) });
    }
  }

  /**
   * The bytes of the file. Ends when the whole form was seen to be well-formed.
   * @throws S3Error as `readHead`
   */
  async *file(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const at = this.#buffer.indexOf(this.#delimiter);
      if (at !== -1) {
        const last = this.#buffer.subarray(0, at);
        this.#buffer = this.#buffer.subarray(at + this.#delimiter.length);
        if (last.length > 0) yield last;
        break;
      }
      const safe = this.#buffer.length - partialMatch(this.#buffer, this.#delimiter);
      const piece = this.#buffer.subarray(0, safe);
      this.#buffer = this.#buffer.subarray(safe);
      if (piece.length > 0) yield piece;
      if (!(await this.#fill())) throw malformed('the form ends within the file');
    }
    await this.#skipRest();
  }

  /** Gives the body up; what was not read stays with the connection. */
  async abandon(): Promise<void> {
    this.#isAtEnd = true;
    await this.#source.return?.();
  }

  async #skipRest(): Promise<void> {
    this.#overheadBytes = 0;
    for (;;) {
      const part = await this.#readPartHead();
      if (part === undefined) break;
      if (part.name.toLowerCase() === 'file') {
        throw new S3Error('InvalidArgument', {
          message: 'POST requires exactly one file upload per request.',
          details: { ArgumentName: 'file', ArgumentValue: '2' },
        });
      }
      await this.#readToDelimiter();
    }
    do {
      this.#spend(this.#buffer.length);
      this.#buffer = NOTHING;
    } while (await this.#fill());
  }

  /** `undefined`: the closing delimiter. */
  async #readPartHead(): Promise<{ name: string; fileName: string } | undefined> {
    while (this.#buffer.length < 2) if (!(await this.#fill())) throw malformed('the form ends early');
    if (this.#buffer[0] === 0x2d && this.#buffer[1] === 0x2d) {
      this.#buffer = this.#buffer.subarray(2);
      return undefined;
    }
    let end = this.#buffer.indexOf(HEAD_END);
    while (end === -1) {
      if (this.#buffer.length > PART_HEAD_LIMIT_BYTES) throw tooMuch();
      if (!(await this.#fill())) throw malformed('the form ends within the head of a part');
      end = this.#buffer.indexOf(HEAD_END);
    }
    if (end > PART_HEAD_LIMIT_BYTES) throw tooMuch();
    const head = this.#buffer.subarray(0, end);
    this.#buffer = this.#buffer.subarray(end + HEAD_END.length);
    this.#spend(head.length + HEAD_END.length);
    return readHead(textOf(head));
  }

  /** What stands before the next delimiter. */
  async #readToDelimiter(): Promise<Buffer> {
    let at = this.#buffer.indexOf(this.#delimiter);
    while (at === -1) {
      if (this.#overheadBytes + this.#buffer.length > FIELDS_LIMIT_BYTES) throw tooMuch();
      if (!(await this.#fill())) throw malformed('the form ends before its closing boundary');
      at = this.#buffer.indexOf(this.#delimiter);
    }
    const content = this.#buffer.subarray(0, at);
    this.#buffer = this.#buffer.subarray(at + this.#delimiter.length);
    this.#spend(at + this.#delimiter.length);
    return content;
  }

  #spend(bytes: number): void {
    this.#overheadBytes += bytes;
    if (this.#overheadBytes > FIELDS_LIMIT_BYTES) throw tooMuch();
  }

  /** False at the end of the body. */
  async #fill(): Promise<boolean> {
    if (this.#isAtEnd) return false;
    const next = await this.#source.next();
    if (next.done === true) {
      this.#isAtEnd = true;
      return false;
    }
    this.#buffer = this.#buffer.length === 0 ? next.value : Buffer.concat([this.#buffer, next.value]);
    return true;
  }
}

/** How many bytes at the end of `bytes` may be the beginning of `delimiter`. */
function partialMatch(bytes: Buffer, delimiter: Buffer): number {
  let from = bytes.indexOf(delimiter[0]!, Math.max(0, bytes.length - delimiter.length + 1));
  while (from !== -1) {
    const length = bytes.length - from;
    if (bytes.compare(delimiter, 0, length, from) === 0) return length;
    from = bytes.indexOf(delimiter[0]!, from + 1);
  }
  return 0;
}

/** From after the boundary: padding, a line end, header lines. */
function readHead(text: string): { name: string; fileName: string } {
  const [padding, ...lines] = text.split('\r\n');
  if (!/^[ \t]*$/.test(padding!)) throw malformed('something follows a boundary');
  let disposition: string | undefined;
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) throw malformed('a line in the head of a part is no header');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'content-transfer-encoding' && !IDENTITY_ENCODINGS.has(value.toLowerCase())) {
      throw malformed('a part is encoded');
    }
    if (name !== 'content-disposition') continue;
    if (disposition !== undefined) throw malformed('a part has two dispositions');
    disposition = value;
  }
  if (disposition === undefined || !/^form-data\s*(;|$)/i.test(disposition)) throw malformed('a part is no form data');
  const parameters = parametersOf(disposition);
  const name = parameters.get('name');
  if (name === undefined) throw malformed('a part has no name');
  return { name, fileName: parameters.get('filename') ?? extended(parameters.get('filename*')) };
}

/** Browsers escape quotes as %22 and leave backslashes alone; others write `\"`. */
function parametersOf(disposition: string): Map<string, string> {
  const parameters = new Map<string, string>();
  const rest = disposition.slice('form-data'.length);
  const pattern = /\s*;\s*([^\s=;"]+)\s*=\s*(?:"((?:\\"|[^"])*)"|([^\s;"]*))\s*|\s*;\s*$/y;
  while (pattern.lastIndex < rest.length) {
    const match = pattern.exec(rest);
    if (match === null) throw malformed('a disposition cannot be read');
    const name = match[1]?.toLowerCase();
    if (name === undefined) continue;
    if (parameters.has(name)) throw malformed('a disposition says something twice');
    parameters.set(name, match[2]?.replaceAll('\\"', '"') ?? match[3] ?? '');
  }
  return parameters;
}

/** `UTF-8''name%20of%20file` of RFC 5987, which a form should not have and some clients send. */
function extended(value: string | undefined): string {
  const match = /^utf-8'[^']*'(.*)$/i.exec(value ?? '');
  if (match === null) return '';
  try {
    return decodeURIComponent(match[1]!);
  } catch {
    throw malformed('the name of the file cannot be read');
  }
}

function textOf(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw malformed('a field is not UTF-8');
  }
}

function malformed(hint: string): S3Error {
  return new S3Error('MalformedPOSTRequest', { hint });
}

function tooMuch(): S3Error {
  return new S3Error('MaxPostPreDataLengthExceeded', { details: { MaxPostPreDataLengthBytes: FIELDS_LIMIT_BYTES } });
}
