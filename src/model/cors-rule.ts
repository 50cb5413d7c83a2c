/** One rule of a bucket's CORS configuration. */
export interface CorsRule {
  readonly id?: string;
  /** `*`, or with one `*` in it. */
  readonly allowedOrigins: readonly string[];
  readonly allowedMethods: readonly CorsMethod[];
  /** Of a preflight's `Access-Control-Request-Headers`; each may have one `*` in it. */
  readonly allowedHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  readonly maxAgeSeconds?: number;
}

export type CorsMethod = (typeof CORS_METHODS)[number];

export const CORS_METHODS = ['GET', 'PUT', 'HEAD', 'POST', 'DELETE'] as const;
