import type { S3Services } from '../../service/services.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import { invalidArgument } from '../listing-parameters.ts';
import type { S3Request, S3Response } from '../operation.ts';
import { ownerXml } from '../xml/listing-xml.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from '../xml/write-xml.ts';
import { xmlResponse } from '../xml/xml-response.ts';

const MAX_BUCKETS = 10_000;

/**
 * The caller's buckets, ascending by name, in pages of `max-buckets`.
 *
 * @throws S3Error InvalidArgument
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
 */
export async function listBuckets(request: S3Request, services: S3Services): Promise<S3Response> {
  const { query, principal } = request;
  const prefix = query.get('prefix');
  const { buckets, continuationToken } = await services.buckets.listBuckets({
    owner: principal.owner,
    prefix: prefix ?? '',
    continuationToken: query.get('continuation-token'),
    maxBuckets: readMaxBuckets(query.get('max-buckets')),
    region: query.get('bucket-region'),
  });
  const list = buckets.map((bucket) =>
    xmlGroup(
      'Bucket',
      xmlText('Name', bucket.name) +
        xmlText('CreationDate', formatIsoDate(bucket.createdAtMs)) +
        xmlText('BucketRegion', bucket.region),
    ),
  );
  return xmlResponse(
    xmlDocument(
      'ListAllMyBucketsResult',
      ownerXml(principal.owner) +
        xmlGroup('Buckets', list.join('')) +
        xmlOptional('ContinuationToken', continuationToken) +
        xmlOptional('Prefix', prefix),
    ),
  );
}

function readMaxBuckets(value: string | undefined): number {
  if (value === undefined) return MAX_BUCKETS;
  const maxBuckets = /^\d{1,5}$/.test(value) ? Number(value) : 0;
  if (maxBuckets < 1 || maxBuckets > MAX_BUCKETS) {
    throw invalidArgument('max-buckets', value, `Argument max-buckets must be an integer between 1 and ${MAX_BUCKETS}`);
  }
  return maxBuckets;
}
