import { S3Error } from '../../errors/s3-error.ts';
import { CORS_METHODS, type CorsMethod, type CorsRule } from '../../model/cors-rule.ts';
import type { S3Request } from '../operation.ts';
import { readXmlBody } from './read-xml-body.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from './write-xml.ts';
import { list, structure, text, type XmlResult } from './xml-schema.ts';

const RULE = structure({
  ID: text,
  AllowedHeader: list(text),
  AllowedMethod: list(text),
  AllowedOrigin: list(text),
  ExposeHeader: list(text),
  MaxAgeSeconds: text,
});
const CORS_CONFIGURATION = structure({ CORSRule: list(RULE) });
const RULE_LIMIT = 100;
const ID_LIMIT = 255;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * The body of PutBucketCors.
 *
 * @throws S3Error MalformedXML | InvalidRequest | MissingRequestBodyError | BadDigest
 */
export async function readCors(request: S3Request): Promise<readonly CorsRule[]> {
  const { CORSRule: rules } = await readXmlBody(request, CORS_CONFIGURATION);
  if (rules.length === 0) throw new S3Error('MalformedXML');
  if (rules.length > RULE_LIMIT)
    throw invalid('The number of CORS rules should not exceed allowed limit of 100 rules.');
  return rules.map(readRule);
}

function readRule(rule: XmlResult<typeof RULE>): CorsRule {
  const { ID: id, MaxAgeSeconds: maxAge, ExposeHeader: exposeHeaders } = rule;
  const { AllowedOrigin: allowedOrigins, AllowedHeader: allowedHeaders } = rule;
  if (allowedOrigins.length === 0 || rule.AllowedMethod.length === 0) throw new S3Error('MalformedXML');
  if (id !== undefined && id.length > ID_LIMIT) throw invalid('The ID of a CORS rule has at most 255 characters.');
  for (const origin of allowedOrigins) {
    if (starsOf(origin) > 1) throw invalid(`AllowedOrigin "${origin}" can not have more than one wildcard.`);
    refuseControls(origin);
  }
  for (const header of allowedHeaders) {
    if (starsOf(header) > 1) throw invalid(`AllowedHeader "${header}" can not have more than one wildcard.`);
  }
  for (const header of exposeHeaders) {
    if (starsOf(header) > 0)
      throw invalid(
        `ExposeHeader "${header}" contains wildcard. We currently do not support wildcard for ExposeHeader.`,
      );
    if (!HEADER_NAME.test(header)) throw invalid(`ExposeHeader "${header}" contains invalid character.`);
  }
  return {
    ...(id === undefined ? {} : { id }),
    allowedOrigins,
    allowedMethods: rule.AllowedMethod.map(readMethod),
    allowedHeaders,
    exposeHeaders,
    ...(maxAge === undefined ? {} : { maxAgeSeconds: readSeconds(maxAge) }),
  };
}

function readMethod(method: string): CorsMethod {
  const known = CORS_METHODS.find((name) => name === method);
  if (known === undefined) {
    throw invalid(`Found unsupported HTTP method in CORS config. Unsupported method is ${method}`);
  }
  return known;
}

function readSeconds(value: string): number {
  const seconds = Number(value);
  if (!/^\d{1,10}$/.test(value) || seconds > 2_147_483_647) throw new S3Error('MalformedXML');
  return seconds;
}

function starsOf(pattern: string): number {
  return pattern.split('*').length - 1;
}

function refuseControls(origin: string): void {
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  if (/[\u0000-\u0020\u007f]/.test(origin)) throw invalid(`AllowedOrigin "${origin}" contains invalid character.`);
}

function invalid(message: string): S3Error {
  return new S3Error('InvalidRequest', { message });
}

export function corsXml(rules: readonly CorsRule[]): string {
  const texts = (name: string, values: readonly string[]): string =>
    values.map((value) => xmlText(name, value)).join('');
  const elements = rules.map((rule) =>
    xmlGroup(
      'CORSRule',
      xmlOptional('ID', rule.id) +
        texts('AllowedHeader', rule.allowedHeaders) +
        texts('AllowedMethod', rule.allowedMethods) +
        texts('AllowedOrigin', rule.allowedOrigins) +
        texts('ExposeHeader', rule.exposeHeaders) +
        xmlOptional('MaxAgeSeconds', rule.maxAgeSeconds),
    ),
  );
  return xmlDocument('CORSConfiguration', elements.join(''));
}
