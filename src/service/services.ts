import type { BucketService } from './buckets.ts';
import type { ListingService } from './listing.ts';
import type { MultipartService } from './multipart-uploads.ts';
import type { ObjectService } from './objects.ts';

/** What operation handlers may call. Built by `server.ts`. */
export interface S3Services {
  readonly region: string;
  readonly buckets: BucketService;
  readonly listing: ListingService;
  readonly objects: ObjectService;
  readonly multipart: MultipartService;
}
