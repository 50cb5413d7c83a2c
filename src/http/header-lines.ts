import type { HttpExchange } from './http-exchange.ts';

export interface AnswerHeaders {
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | number>>;
  /** What every answer carries, name and value in turns. */
  readonly commonHeaders?: readonly string[];
}

/**
 * The headers of an answer as node takes them with the least work: name and value in turns. An object with one name more
 * for each answer costs V8 a new shape or a dictionary.
 */
export function headerLines(
  { requestId }: HttpExchange,
  { headers, commonHeaders = [] }: AnswerHeaders,
): (string | number)[] {
  const lines: (string | number)[] = ['x-amz-request-id', requestId];
  for (const line of commonHeaders) lines.push(line);
  for (const name in headers) lines.push(name, headers[name]!);
  return lines;
}
