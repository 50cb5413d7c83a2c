import { S3Error } from '../../errors/s3-error.ts';
import type { S3Services } from '../../service/services.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { PUBLIC_ACCESS_BLOCK, publicAccessBlockXml, readPublicAccessBlock } from '../xml/public-access-block-xml.ts';
import { readXml } from '../xml/read-xml.ts';
import { readVerifiedBody } from '../xml/read-xml-body.ts';
import { CONTROL_NAMESPACE, controlDocument, requireAccountId } from './control-request.ts';

const ROOT = 'PublicAccessBlockConfiguration';

/**
 * @throws S3Error AccessDenied | NoSuchPublicAccessBlockConfiguration
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetPublicAccessBlock.html
 */
export async function getAccountPublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  const accountId = await authorizedAccount(request);
  const block = services.accountPublicAccess.of(accountId);
  if (block === undefined) {
    throw new S3Error('NoSuchPublicAccessBlockConfiguration', { details: { AccountId: accountId } });
  }
  return controlDocument(ROOT, publicAccessBlockXml(block));
}

/**
 * Holds in all buckets of the account, beside what they block themselves.
 *
 * @throws S3Error AccessDenied | MalformedXML | BadDigest
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_PutPublicAccessBlock.html
 */
export async function putAccountPublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  const accountId = await authorizedAccount(request);
  const bytes = await readVerifiedBody(request);
  const body = readXml(bytes, PUBLIC_ACCESS_BLOCK, { root: ROOT, namespace: CONTROL_NAMESPACE });
  await services.accountPublicAccess.set(accountId, readPublicAccessBlock(body));
  return { status: 201 };
}

/**
 * @throws S3Error AccessDenied
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_DeletePublicAccessBlock.html
 */
export async function deleteAccountPublicAccessBlock(request: S3Request, services: S3Services): Promise<S3Response> {
  await services.accountPublicAccess.set(await authorizedAccount(request), undefined);
  return { status: 204 };
}

async function authorizedAccount(request: S3Request): Promise<string> {
  const accountId = requireAccountId(request);
  await request.authorize(request.operation.action, { bucket: undefined, otherResource: { arn: '*', accountId } });
  return accountId;
}
