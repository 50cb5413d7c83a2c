import type { CorsRule } from '../model/cors-rule.ts';

export interface CorsQuestion {
  readonly origin: string;
  readonly method: string;
  /** Of a preflight; lower-case. */
  readonly requestHeaders: readonly string[];
}

/** The first rule that lets this origin use this method with these headers. */
export function findCorsRule(rules: readonly CorsRule[], question: CorsQuestion): CorsRule | undefined {
  return rules.find(
    ({ allowedOrigins, allowedMethods, allowedHeaders }) =>
      (allowedMethods as readonly string[]).includes(question.method) &&
      allowedOrigins.some((pattern) => matchesOneStar(pattern, question.origin)) &&
      question.requestHeaders.every((name) =>
        allowedHeaders.some((pattern) => matchesOneStar(pattern.toLowerCase(), name)),
      ),
  );
}

/**
 * What a browser is told. An origin that is named is told with credentials; `*` never is: no page of any site may read
 * answers that cookies or client certificates opened.
 */
export function corsHeaders(rule: CorsRule, { origin, requestHeaders }: CorsQuestion): Record<string, string> {
  const isForAll = rule.allowedOrigins.includes('*');
  const headers: Record<string, string> = {
    'access-control-allow-origin': isForAll ? '*' : origin,
    'access-control-allow-methods': rule.allowedMethods.join(', '),
  };
  if (!isForAll) headers['access-control-allow-credentials'] = 'true';
  if (requestHeaders.length > 0) headers['access-control-allow-headers'] = requestHeaders.join(', ');
  if (rule.exposeHeaders.length > 0) headers['access-control-expose-headers'] = rule.exposeHeaders.join(', ');
  if (rule.maxAgeSeconds !== undefined) headers['access-control-max-age'] = String(rule.maxAgeSeconds);
  return headers;
}

/** Answers differ by these: no cache may give one origin's answer to another. */
export const CORS_VARY = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method';

function matchesOneStar(pattern: string, text: string): boolean {
  const star = pattern.indexOf('*');
  if (star === -1) return pattern === text;
  const head = pattern.slice(0, star);
  const tail = pattern.slice(star + 1);
  return text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail);
}
