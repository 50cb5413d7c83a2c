import type { Clock } from '../model/clock.ts';
import type { AccessControlService, AccountBlocks } from './access-control.ts';
import type { BucketEncryptionService } from './bucket-encryption.ts';
import type { BucketService } from './buckets.ts';
import type { LifecycleService } from './lifecycle/lifecycle-service.ts';
import type { ListingService } from './listing.ts';
import type { MultipartService } from './multipart-uploads.ts';
import type { ObjectService } from './objects.ts';
import type { StorageClasses } from './storage-classes.ts';

/** What operation handlers may call. Built by `server.ts`. */
export interface S3Services {
  readonly region: string;
  /** For answers that are kept alive while work goes on. */
  readonly clock: Pick<Clock, 'schedule'>;
  readonly buckets: BucketService;
  readonly accessControl: AccessControlService;
  readonly accountPublicAccess: AccountBlocks;
  readonly bucketEncryption: BucketEncryptionService;
  readonly listing: ListingService;
  readonly objects: ObjectService;
  readonly multipart: MultipartService;
  readonly lifecycle: LifecycleService;
  /** Else SSE-C is refused where the connection is not secure. */
  readonly allowsCustomerKeysOverHttp: boolean;
  readonly storageClasses: StorageClasses;
}
