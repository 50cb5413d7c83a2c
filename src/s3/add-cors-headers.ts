import { CORS_VARY, corsHeaders, findCorsRule } from '../service/cors.ts';
import type { S3Services } from '../service/services.ts';
import type { S3Response } from './operation.ts';

export interface CrossOriginRequest {
  readonly origin: string;
  readonly method: string;
  /** Empty: the request is to no bucket. */
  readonly bucket: string;
}

/**
 * An answer that a page of another origin asked for, with what lets the browser hand it over: on errors too, else the
 * page learns nothing of them. A bucket without a matching rule answers as to anybody.
 */
export async function addCorsHeaders(
  response: S3Response,
  { origin, method, bucket }: CrossOriginRequest,
  services: S3Services | undefined,
): Promise<S3Response> {
  if (services === undefined || bucket === '' || method === 'OPTIONS') return response;
  const rules = await rulesOf(bucket, services);
  if (rules === undefined) return response;
  const question = { origin, method, requestHeaders: [] };
  const rule = findCorsRule(rules, question);
  const cors = rule === undefined ? {} : corsHeaders(rule, question);
  return { ...response, headers: { ...response.headers, ...cors, vary: CORS_VARY } };
}

/** The answer is already decided: a store that fails now takes nothing from it. */
async function rulesOf(bucket: string, { buckets }: S3Services) {
  const record = await buckets.findBucket(bucket).catch(() => undefined);
  return record?.configuration.cors;
}
