import { S3Error } from '../../errors/s3-error.ts';
import { CORS_METHODS } from '../../model/cors-rule.ts';
import { CORS_VARY, corsHeaders, findCorsRule } from '../../service/cors.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';

/**
 * A browser asks whether a page of another origin may send a request. It carries no credentials, and none are needed:
 * the answer tells the rules of the bucket, and nothing of what is in it.
 *
 * @throws S3Error NoSuchBucket | BadRequest | AccessForbidden
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/RESTOPTIONSobject.html
 */
export async function preflightRequest(request: S3Request, services: S3Services): Promise<S3Response> {
  const { headers } = request;
  const origin = headers.get('origin');
  if (origin === undefined) {
    throw new S3Error('BadRequest', { message: 'Insufficient information. Origin request header needed.' });
  }
  const method = headers.get('access-control-request-method');
  if (!CORS_METHODS.some((name) => name === method)) {
    throw new S3Error('BadRequest', { message: `Invalid Access-Control-Request-Method: ${method ?? 'null'}` });
  }
  const requestHeaders = (headers.get('access-control-request-headers') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const { configuration } = await services.buckets.requireBucket(request.bucket);
  if (configuration.cors === undefined) {
    throw new S3Error('AccessForbidden', { message: 'CORSResponse: CORS is not enabled for this bucket.' });
  }
  const question = { origin, method: method!, requestHeaders };
  const rule = findCorsRule(configuration.cors, question);
  if (rule === undefined) {
    throw new S3Error('AccessForbidden', {
      message:
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
    });
  }
  return { status: 200, headers: { ...corsHeaders(rule, question), vary: CORS_VARY } };
}
