interface IamErrorRow {
  readonly status: number;
  /** Answered where the place that throws says nothing better. */
  readonly message: string;
}

/** Every error of the IAM and STS query APIs this server answers, with AWS's HTTP status. The one place that says so. */
export const IAM_ERRORS = {
  AccessDenied: { status: 403, message: 'Access Denied' },
  ConcurrentModification: { status: 409, message: 'The entity is being modified by another request.' },
  DeleteConflict: { status: 409, message: 'Cannot delete entity, it is still in use.' },
  EntityAlreadyExists: { status: 409, message: 'The entity already exists.' },
  EntityTemporarilyUnmodifiable: { status: 409, message: 'The entity cannot be modified now; try again later.' },
  ExpiredToken: { status: 403, message: 'The security token included in the request is expired' },
  ExpiredTokenException: { status: 400, message: 'The web identity token that was passed is expired.' },
  IDPCommunicationError: {
    status: 400,
    message: 'The identity provider could not be reached to verify the token. Try again later.',
  },
  IDPRejectedClaim: { status: 403, message: 'The identity provider rejected the claim.' },
  IncompleteSignature: { status: 400, message: 'The request signature does not conform to AWS standards.' },
  InternalFailure: { status: 500, message: 'The request processing has failed because of an unknown error.' },
  InvalidAction: { status: 400, message: 'The action or operation requested is invalid.' },
  InvalidClientTokenId: { status: 403, message: 'The security token included in the request is invalid.' },
  InvalidIdentityToken: { status: 400, message: 'The web identity token that was passed could not be validated.' },
  InvalidInput: { status: 400, message: 'The request was rejected because an invalid value was supplied.' },
  LimitExceeded: { status: 409, message: 'The request would exceed a limit of the account.' },
  MalformedPolicyDocument: { status: 400, message: 'The policy document is malformed.' },
  MalformedQueryString: { status: 400, message: 'The query string or form body contains a syntax error.' },
  MissingAction: { status: 400, message: 'The request is missing an action or a required parameter.' },
  MissingAuthenticationToken: { status: 403, message: 'Request is missing Authentication Token' },
  NoSuchEntity: { status: 404, message: 'The entity does not exist.' },
  NotImplemented: { status: 501, message: 'This is not implemented.' },
  PackedPolicyTooLarge: { status: 400, message: 'The session policies and tags together are too large.' },
  PolicyNotAttachable: { status: 400, message: 'The policy cannot be attached to this entity.' },
  RequestEntityTooLarge: { status: 413, message: 'The request is too large.' },
  ServiceUnavailable: { status: 503, message: 'The request has failed due to a temporary failure of the server.' },
  SignatureDoesNotMatch: {
    status: 403,
    message:
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
  },
  Throttling: { status: 400, message: 'Rate exceeded' },
  UnmodifiableEntity: { status: 400, message: 'The entity cannot be modified.' },
  ValidationError: { status: 400, message: 'The request is not valid.' },
} as const satisfies Record<string, IamErrorRow>;

export type IamErrorCode = keyof typeof IAM_ERRORS;

/** An expected outcome of a request to IAM or STS, in their words. */
export class IamError extends Error {
  readonly code: IamErrorCode;
  readonly status: number;
  /** For the operator's log only; never sent. */
  readonly hint: string | undefined;
  /** Extra response headers, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: IamErrorCode,
    message?: string,
    options: { hint?: string; headers?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(message ?? IAM_ERRORS[code].message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'IamError';
    this.code = code;
    this.status = IAM_ERRORS[code].status;
    this.hint = options.hint;
    this.headers = options.headers ?? {};
  }
}

/** In IAM's words. `member` as the API spells it. */
export function invalidMember(member: string, value: string | null, constraint: string): IamError {
  const name = `${member[0]?.toLowerCase()}${member.slice(1)}`;
  const shown = value === null ? 'Value null' : `Value '${value.length > 128 ? `${value.slice(0, 128)}…` : value}'`;
  return new IamError(
    'ValidationError',
    `1 validation error detected: ${shown} at '${name}' failed to satisfy constraint: ${constraint}`,
  );
}
