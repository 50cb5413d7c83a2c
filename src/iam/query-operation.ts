import type { ConditionContext } from '../access/policy/condition-context.ts';
import type { AccessResource, Principal } from '../access/principal.ts';
import type { Log } from '../observability/log.ts';
import type { ParameterSpecs, ParameterValues } from './parameter.ts';
import type { IamServices } from './iam-services.ts';

export type QueryService = 'iam' | 'sts';

/** A result as nested values: an array becomes `<member>` elements, a map `<entry>` elements, `undefined` leaves an element out. */
export type AnswerValue =
  string | number | boolean | Date | undefined | readonly AnswerValue[] | ReadonlyMap<string, number> | AnswerStructure;
export interface AnswerStructure {
  readonly [name: string]: AnswerValue;
}

/** What is asked of the authorizer for an operation: on what, and what conditions may look at. */
export interface QueryTarget {
  /** Its ARN may be `*`, for what is done to nothing in particular. */
  readonly resource: AccessResource;
  readonly conditions?: ConditionContext;
}

/** One row of the table of IAM's and STS's operations. */
export interface QueryOperation<P extends ParameterSpecs> {
  /** AWS's name: `CreateRole`. */
  readonly name: string;
  readonly service: QueryService;
  readonly parameters: P;
  /**
   * What the caller needs `service:name` on. No row can omit it: `nothing` for what AWS lets every caller do, `handler`
   * where the handler itself asks (a role's trust policy decides too).
   */
  readonly target: ((request: TargetRequest<P>) => QueryTarget | Promise<QueryTarget>) | 'nothing' | 'handler';
  /** Answered without a signature: the web identity token is the credential. */
  readonly isUnsigned?: true;
  /** Resolves with the members of `<NameResult>`; with `undefined` when AWS's answer has none. */
  readonly handler: (request: QueryRequest<P>) => Promise<AnswerStructure | undefined>;
}

export interface TargetRequest<P extends ParameterSpecs> {
  readonly parameters: ParameterValues<P>;
  readonly principal: Principal;
  readonly services: IamServices;
}

/** A request that has been authenticated and, unless its row says otherwise, authorized. */
export interface QueryRequest<P extends ParameterSpecs> extends TargetRequest<P> {
  readonly requestId: string;
  readonly nowMs: number;
  /** What conditions may look at of any request: time, address, transport. */
  readonly context: ConditionContext;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** @throws IamError AccessDenied */
  authorize(action: string, target: QueryTarget): Promise<void>;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- rows of all shapes in one table
export type QueryOperationRow = QueryOperation<any>;

/** Ties handler and target to the types of the row's own parameters. */
export function queryOperation<P extends ParameterSpecs>(row: QueryOperation<P>): QueryOperationRow {
  return row;
}
