import { key } from '../config-key.ts';
import { OBJECT_OWNERSHIPS } from '../../model/access-control.ts';
import { addressRange, boolean, listOf, listenAddress, oneOf, text } from '../value-types.ts';

export const s3Section = {
  listen: key({
    type: listOf(listenAddress()),
    default: ['127.0.0.1:9000', '[::1]:9000'],
    env: 'HOLDFAST_LISTEN',
    what: 'Addresses of the S3 endpoint.',
    why: 'Loopback only: nothing is reachable from outside before you say so.',
  }),
  region: key({
    type: text({ describe: 'region name, like `us-east-1`', pattern: /^[a-z0-9][a-z0-9-]{1,62}$/ }),
    default: 'us-east-1',
    env: 'HOLDFAST_REGION',
    what: 'Region that requests must be signed for and that buckets report.',
    why: 'The one every client falls back to.',
  }),
  domains: key({
    type: listOf(
      text({
        describe: 'domain name',
        pattern: /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/,
      }),
    ),
    default: [],
    env: 'HOLDFAST_DOMAINS',
    what: 'Domains for virtual-hosted requests: `bucket.DOMAIN` addresses the bucket.',
    why: 'Needs wildcard DNS, so path-style (always on) is what works everywhere.',
  }),
  signatureV2: key({
    type: boolean(),
    default: true,
    env: 'HOLDFAST_SIGNATURE_V2',
    what: 'Accept Signature Version 2 in presigned URLs (never in the Authorization header).',
    why: 'boto3 and version 1 of the aws cli still presign with it in us-east-1.',
  }),
  unsignedPayloadOverHttp: key({
    type: boolean(),
    default: true,
    env: 'HOLDFAST_UNSIGNED_PAYLOAD_OVER_HTTP',
    what: 'Accept signed requests whose body is not signed (`UNSIGNED-PAYLOAD`) without TLS.',
    why: 'Behind a proxy that ends TLS every request arrives so; presigned URLs are never affected.',
  }),
  trustedProxies: key({
    type: listOf(addressRange()),
    default: [],
    env: 'HOLDFAST_TRUSTED_PROXIES',
    what: 'Addresses or ranges (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.',
    why: 'Anybody can send these headers; policies, limits and logs must know the real client.',
  }),
  objectOwnership: key({
    type: oneOf(...OBJECT_OWNERSHIPS),
    default: 'BucketOwnerEnforced',
    env: 'HOLDFAST_OBJECT_OWNERSHIP',
    what: 'Ownership of objects in new buckets. ACLs are disabled with `BucketOwnerEnforced`; the others are for those who need ACLs.',
    why: 'As on AWS: one account owns all that is in a bucket, and policies say who may what.',
  }),
  blockPublicAccess: key({
    type: boolean(),
    default: true,
    env: 'HOLDFAST_BLOCK_PUBLIC_ACCESS',
    what: 'New buckets come with all four settings of Block Public Access on.',
    why: 'As on AWS: a public policy is refused until the owner of the bucket takes the blocks away.',
  }),
} as const;
