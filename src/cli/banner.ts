import { shellQuote } from './explain-error.ts';
import type { ServerFacts } from './server-types.ts';

export interface BannerOptions {
  facts: ServerFacts;
  /** Only a terminal sees the secret. */
  isTerminal: boolean;
  /** Shared-credentials file with the stored key; `undefined` when the key is configured. */
  credentialsFile: string | undefined;
}

/**
 * What a start says: how to reach the server and with which key, in lines to paste. The secret itself appears only on a
 * terminal; elsewhere the lines name the file that holds it.
 */
export function banner({ facts, isTerminal, credentialsFile }: BannerOptions): string {
  const { root, code } = facts;
  const state = facts.isCreated
    ? 'created'
    : `opened: ${plural(facts.bucketCount, 'bucket')}, ${plural(facts.objectCount, 'object')}`;
  const lost = facts.diskCount - facts.usableDiskCount;
  const rows: [string, string][] = [
    ['Endpoint', facts.endpoints.join('  ')],
    ['Admin', facts.adminEndpoints.length === 0 ? 'off (socket only)' : facts.adminEndpoints.join('  ')],
    ['Region', facts.region],
    ['Cluster', `${facts.clusterId}, ${state}`],
    [
      'Disks',
      `${facts.usableDiskCount} of ${facts.diskCount} usable${lost > 0 ? ` (${lost} LOST)` : ''}, code ${code.k}+${code.m}`,
    ],
    ['Access key', `${root.accessKeyId}${root.source === 'configuration' ? ' (from the configuration)' : ''}`],
  ];
  if (isTerminal && credentialsFile !== undefined) rows.push(['Secret key', root.secretAccessKey]);
  if (credentialsFile !== undefined) rows.push(['Key file', `${credentialsFile} (mode 0600)`]);
  const width = Math.max(...rows.map(([label]) => label.length));
  const warnings = facts.warnings
    .filter(({ severity }) => severity !== 'info')
    .map(({ message, fix }) => `  ! ${message}${fix === undefined ? '' : `\n    ${fix.replaceAll('\n', '\n    ')}`}`);
  return `
Holdfast is ready.

${rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`).join('\n')}
${warnings.length === 0 ? '' : `\n${warnings.join('\n')}\n`}
Paste into a shell to use the aws cli:

${pasteLines({ facts, isTerminal, credentialsFile })
  .map((line) => `  ${line}`)
  .join('\n')}

`;
}

function pasteLines({ facts, isTerminal, credentialsFile }: BannerOptions): string[] {
  // All addresses are no address to connect to.
  const endpoint = (facts.endpoints[0] ?? '').replace('://0.0.0.0:', '://127.0.0.1:').replace('://[::]:', '://[::1]:');
  const lines: string[] = [];
  if (credentialsFile !== undefined && !isTerminal) {
    lines.push('unset AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN');
    lines.push(`export AWS_SHARED_CREDENTIALS_FILE=${shellQuote(credentialsFile)}`);
  } else {
    const secret = credentialsFile === undefined ? "'the one you configured'" : shellQuote(facts.root.secretAccessKey);
    lines.push('unset AWS_PROFILE AWS_SESSION_TOKEN');
    lines.push(`export AWS_ACCESS_KEY_ID=${shellQuote(facts.root.accessKeyId)}`);
    lines.push(`export AWS_SECRET_ACCESS_KEY=${secret}`);
  }
  lines.push(`export AWS_DEFAULT_REGION=${facts.region} AWS_ENDPOINT_URL=${endpoint}`);
  lines.push('aws --endpoint-url $AWS_ENDPOINT_URL s3 mb s3://first-bucket');
  lines.push('aws --endpoint-url $AWS_ENDPOINT_URL s3 ls');
  return lines;
}

function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}
