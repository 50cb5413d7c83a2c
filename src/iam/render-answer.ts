import { printableXml, xmlGroup, xmlText, XML_DECLARATION } from '../s3/xml/write-xml.ts';
import type { IamError } from '../errors/iam-error.ts';
import type { AnswerStructure, AnswerValue, QueryService } from './query-operation.ts';

const NAMESPACES: Readonly<Record<QueryService, string>> = {
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
};

/** `<NameResponse>` with `<NameResult>`, when there is one, and the id of the request. */
export function renderAnswer(
  { name, service }: { name: string; service: QueryService },
  result: AnswerStructure | undefined,
  requestId: string,
): string {
  const inner = result === undefined ? '' : xmlGroup(`${name}Result`, members(result));
  const metadata = xmlGroup('ResponseMetadata', xmlText('RequestId', requestId));
  return `${XML_DECLARATION}<${name}Response xmlns="${NAMESPACES[service]}">${inner}${metadata}</${name}Response>`;
}

export function renderIamError(error: IamError, service: QueryService, requestId: string): string {
  const type = error.status >= 500 ? 'Receiver' : 'Sender';
  const inner = xmlText('Type', type) + xmlText('Code', error.code) + xmlText('Message', printableXml(error.message));
  return `${XML_DECLARATION}<ErrorResponse xmlns="${NAMESPACES[service]}">${xmlGroup('Error', inner)}${xmlText('RequestId', requestId)}</ErrorResponse>`;
}

function members(structure: AnswerStructure): string {
  let text = '';
  for (const [name, value] of Object.entries(structure)) text += element(name, value);
  return text;
}

function element(name: string, value: AnswerValue): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return xmlText(name, printableXml(value));
  if (typeof value !== 'object') return xmlText(name, value);
  // Whole seconds, as IAM's dates are.
  if (value instanceof Date) return xmlText(name, `${value.toISOString().slice(0, 19)}Z`);
  if (isMap(value)) {
    const entries = [...value].map(([key, one]) => xmlGroup('entry', element('key', key) + element('value', one)));
    return xmlGroup(name, entries.join(''));
  }
  if (isList(value)) return xmlGroup(name, value.map((entry) => element('member', entry)).join(''));
  return xmlGroup(name, members(value));
}

function isMap(value: object): value is ReadonlyMap<string, number> {
  return value instanceof Map;
}

function isList(value: AnswerStructure | readonly AnswerValue[]): value is readonly AnswerValue[] {
  return Array.isArray(value);
}
