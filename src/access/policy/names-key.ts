import type { Policy, Statement } from './policy-document.ts';
import type { Template } from './template.ts';

/** Whether some condition or variable of the policy is about a key that begins so. Lower-case. */
export function namesKey(policy: Policy, prefix: string): boolean {
  return policy.statements.some((statement) => keysOf(statement).some((key) => key.startsWith(prefix)));
}

function keysOf({ conditions, resources }: Statement): string[] {
  const templates: Template[] = [...(resources?.templates ?? [])];
  for (const { test } of conditions) if (test.type === 'compare') templates.push(...test.templates);
  const variables = templates.flatMap(({ parts }) => parts.flatMap((part) => (part.type === 'text' ? [] : [part.key])));
  return [...conditions.map(({ key }) => key), ...variables];
}
