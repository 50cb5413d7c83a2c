import { parsePolicy } from './policy/parse-policy.ts';
import type { Policy, Statement } from './policy/policy-document.ts';
import { PolicyError } from './policy/policy-error.ts';
import { POLICY_VOCABULARY } from './policy/vocabulary.ts';
import { matchesPattern, patternOf } from './policy/wildcard.ts';

/** @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-policies.html */
export const BUCKET_POLICY_LIMIT_BYTES = 20 * 1024;

/** Actions on keys; all others of S3 are on the bucket. Lower-case. */
const OBJECT_ACTION =
  /^s3:(abortmultipartupload|bypassgovernanceretention|initiatereplication|listmultipartuploadparts|listobjectannotations|objectowneroverridetobucketowner|replicate.*|(delete|get|put|restore|update)object(?!lockconfiguration).*)$/;

/**
 * A bucket policy is about its own bucket only, and each statement about something that its actions are done to.
 *
 * @throws PolicyError
 */
export function checkBucketPolicy(document: string, bucketName: string): Policy {
  const policy = parsePolicy(document, 'resource', POLICY_VOCABULARY);
  const bucketArn = `arn:aws:s3:::${bucketName}`;
  for (const statement of policy.statements) checkStatement(statement, bucketArn);
  return policy;
}

function checkStatement({ actions, resources }: Statement, bucketArn: string): void {
  const covered = POLICY_VOCABULARY.actions.filter((action) =>
    actions.templates.some((template) => matchesPattern(template.pattern!, action)),
  );
  if (!actions.isNot && covered.every((action) => !action.startsWith('s3:'))) {
    throw new PolicyError('Policy has invalid action');
  }
  const scopes = (resources?.templates ?? []).map((template) => {
    const scope = scopeOf(template.source, bucketArn);
    if (!scope.isBucket && !scope.isKey) throw new PolicyError('Policy has invalid resource');
    return scope;
  });
  if (actions.isNot || resources?.isNot === true) return;
  const fits = covered.some((action) =>
    scopes.some((scope) => (OBJECT_ACTION.test(action) ? scope.isKey : scope.isBucket)),
  );
  if (!fits) throw new PolicyError('Action does not apply to any resource(s) in statement');
}

/** Whether the pattern may stand for the bucket, and for some key in it. */
function scopeOf(source: string, bucketArn: string): { isBucket: boolean; isKey: boolean } {
  const slash = source.indexOf('/');
  const [name, rest] = slash === -1 ? [source, undefined] : [source.slice(0, slash), source.slice(slash)];
  const isNamed = matchesPattern(patternOf(name), bucketArn);
  const endsOpen = name.endsWith('*');
  return { isBucket: isNamed && rest === undefined, isKey: isNamed && (rest !== undefined || endsOpen) };
}
