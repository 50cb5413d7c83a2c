import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { askServer } from './admin-client.ts';
import {
  type CliContext,
  type Command,
  CommandFailure,
  type Invocation,
  strayArgument,
  UsageError,
} from './command.ts';
import { renderTable } from './render-table.ts';
import { loadSettings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';

/** One word after the command: what it takes, and which of IAM's operations it is. */
interface Subcommand {
  /** Names of its arguments; those in brackets may be left out. */
  readonly takes: readonly string[];
  readonly operation: string | ((given: Readonly<Record<string, string>>) => string);
  /** Parameters from the arguments; `FILE` is the content of the file. */
  readonly parameters: (given: Readonly<Record<string, string>>) => Record<string, string | undefined>;
  /** Member of the answer that is a list, for pages and tables. */
  readonly list?: string;
}

const nothing = (): Record<string, string> => ({});

const ACCOUNT: Record<string, Subcommand> = {
  create: { takes: ['NAME'], operation: 'CreateAccount', parameters: ({ NAME }) => ({ AccountName: NAME }) },
  list: { takes: [], operation: 'ListAccounts', parameters: nothing, list: 'Accounts' },
};

const USER: Record<string, Subcommand> = {
  create: { takes: ['NAME'], operation: 'CreateUser', parameters: ({ NAME }) => ({ UserName: NAME }) },
  list: { takes: [], operation: 'ListUsers', parameters: nothing, list: 'Users' },
  show: { takes: ['NAME'], operation: 'GetUser', parameters: ({ NAME }) => ({ UserName: NAME }) },
  delete: { takes: ['NAME'], operation: 'DeleteUser', parameters: ({ NAME }) => ({ UserName: NAME }) },
  'end-sessions': { takes: ['NAME'], operation: 'EndSessions', parameters: ({ NAME }) => ({ UserName: NAME }) },
};

const inGroup = ({ NAME, USER: user }: Readonly<Record<string, string>>): Record<string, string | undefined> => ({
  GroupName: NAME,
  UserName: user,
});
const GROUP: Record<string, Subcommand> = {
  create: { takes: ['NAME'], operation: 'CreateGroup', parameters: ({ NAME }) => ({ GroupName: NAME }) },
  list: { takes: [], operation: 'ListGroups', parameters: nothing, list: 'Groups' },
  show: { takes: ['NAME'], operation: 'GetGroup', parameters: ({ NAME }) => ({ GroupName: NAME }) },
  delete: { takes: ['NAME'], operation: 'DeleteGroup', parameters: ({ NAME }) => ({ GroupName: NAME }) },
  add: { takes: ['NAME', 'USER'], operation: 'AddUserToGroup', parameters: inGroup },
  remove: { takes: ['NAME', 'USER'], operation: 'RemoveUserFromGroup', parameters: inGroup },
};

const ofKey = ({ USER: user, KEY: key }: Readonly<Record<string, string>>): Record<string, string | undefined> => ({
  UserName: user,
  AccessKeyId: key,
});
const KEY: Record<string, Subcommand> = {
  create: {
    takes: ['USER', '[FILE]'],
    operation: ({ FILE }) => (FILE === undefined ? 'CreateAccessKey' : 'CreateServiceAccount'),
    parameters: ({ USER: user, FILE }) => ({ UserName: user, PolicyDocument: FILE }),
  },
  list: {
    takes: ['USER'],
    operation: 'ListAccessKeys',
    parameters: ({ USER: user }) => ({ UserName: user }),
    list: 'AccessKeyMetadata',
  },
  'list-service-accounts': {
    takes: ['USER'],
    operation: 'ListServiceAccounts',
    parameters: ({ USER: user }) => ({ UserName: user }),
    list: 'ServiceAccounts',
  },
  disable: {
    takes: ['USER', 'KEY'],
    operation: 'UpdateAccessKey',
    parameters: (given) => ({ ...ofKey(given), Status: 'Inactive' }),
  },
  enable: {
    takes: ['USER', 'KEY'],
    operation: 'UpdateAccessKey',
    parameters: (given) => ({ ...ofKey(given), Status: 'Active' }),
  },
  delete: { takes: ['USER', 'KEY'], operation: 'DeleteAccessKey', parameters: ofKey },
};

const KINDS: Readonly<Record<string, string>> = { user: 'User', group: 'Group', role: 'Role' };

/** `user ann`: AttachUserPolicy with UserName. */
function onCarrier(verb: 'Attach' | 'Detach'): Subcommand {
  const kindOf = ({ KIND = '' }: Readonly<Record<string, string>>): string => {
    const kind = KINDS[KIND];
    if (kind === undefined) throw new UsageError(`${KIND} carries no policies: say user, group or role`);
    return kind;
  };
  return {
    takes: ['KIND', 'NAME', 'ARN'],
    operation: (given) => `${verb}${kindOf(given)}Policy`,
    parameters: (given) => ({ [`${kindOf(given)}Name`]: given['NAME'], PolicyArn: given['ARN'] }),
  };
}

const POLICY: Record<string, Subcommand> = {
  create: {
    takes: ['NAME', 'FILE'],
    operation: 'CreatePolicy',
    parameters: ({ NAME, FILE }) => ({ PolicyName: NAME, PolicyDocument: FILE }),
  },
  list: { takes: [], operation: 'ListPolicies', parameters: nothing, list: 'Policies' },
  show: { takes: ['ARN'], operation: 'GetPolicy', parameters: ({ ARN }) => ({ PolicyArn: ARN }) },
  delete: { takes: ['ARN'], operation: 'DeletePolicy', parameters: ({ ARN }) => ({ PolicyArn: ARN }) },
  attach: onCarrier('Attach'),
  detach: onCarrier('Detach'),
};

export const IDENTITY_COMMANDS: readonly Command[] = [
  identityCommand('account', 'accounts beside the first, each with users, roles and buckets of its own', ACCOUNT),
  identityCommand('user', 'users of an account', USER),
  identityCommand('group', 'groups of users', GROUP),
  identityCommand('key', 'access keys of users; with a policy FILE a service account that it narrows', KEY),
  identityCommand('policy', 'managed policies, and who carries them', POLICY),
];

function identityCommand(name: string, summary: string, subcommands: Record<string, Subcommand>): Command {
  const lines = Object.entries(subcommands).map(([word, { takes }]) => [word, ...takes].join(' '));
  const command: Command = {
    name,
    summary,
    usage: `${name} ${Object.keys(subcommands).join('|')} … [--account ID] [--json] [--state DIR]`,
    details: `${lines.join('\n')}

Asks the running server over its socket, as the root of the account. Everything else of IAM (versions, inline policies,
boundaries, roles, tags) is there for aws iam and the SDKs, at the address of S3. A secret is shown once, when it is made.`,
    flags: {
      account: { isSwitch: false, what: 'id of the account; the first one when absent' },
      json: { isSwitch: true, what: 'print the answer as JSON, as IAM names its members' },
    },
    arguments: 'subcommand',
    run: async (context, invocation) => {
      const [word = '', ...rest] = invocation.positionals;
      const subcommand = Object.hasOwn(subcommands, word) ? subcommands[word] : undefined;
      if (subcommand === undefined) throw new UsageError(`say what to do: holdfast ${command.usage}`);
      const given = await readArguments(context, command, `${name} ${word}`, subcommand.takes, rest);
      const answer = await ask(context, invocation, subcommand, given);
      const isJson = invocation.own['json'] === 'true';
      context.stdout.write(isJson ? `${JSON.stringify(answer, null, 2)}\n` : describe(answer, subcommand.list));
      return 0;
    },
  };
  return command;
}

async function readArguments(
  context: CliContext,
  command: Command,
  words: string,
  takes: readonly string[],
  values: readonly string[],
): Promise<Record<string, string>> {
  const needed = takes.filter((one) => !one.startsWith('['));
  if (values.length < needed.length) throw new UsageError(`Usage: holdfast ${words} ${takes.join(' ')}`);
  if (values[takes.length] !== undefined) throw strayArgument(command, values[takes.length]!);
  const given: Record<string, string> = {};
  for (const [index, value] of values.entries()) {
    const name = takes[index]!.replaceAll(/[[\]]/g, '');
    given[name] = name === 'FILE' ? await readFile(path.resolve(context.workingDirectory, value), 'utf8') : value;
  }
  return given;
}

/** All pages of a list. */
async function ask(
  context: CliContext,
  invocation: Invocation,
  { operation, parameters, list }: Subcommand,
  given: Record<string, string>,
): Promise<Record<string, unknown>> {
  const { stateDirectory } = await loadSettings(context, { ...invocation, positionals: [] });
  await requireStateDirectory(stateDirectory);
  const action = typeof operation === 'string' ? operation : operation(given);
  const accountId = invocation.own['account'];
  const found: unknown[] = [];
  let Marker: string | undefined;
  for (;;) {
    const known = Object.entries({ ...parameters(given), Marker }).filter(([, value]) => value !== undefined);
    const body = { action, parameters: Object.fromEntries(known), ...(accountId === undefined ? {} : { accountId }) };
    const answer = await askServer(stateDirectory, { method: 'POST', path: '/identities', body });
    if (answer === undefined) {
      throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
        hint: 'Users and keys are kept by the running server: start it, or name its state directory: --state DIR',
      });
    }
    const page = answer as Record<string, unknown>;
    if (list === undefined) return page;
    found.push(...(page[list] as unknown[]));
    Marker = page['Marker'] as string | undefined;
    if (Marker === undefined) return { [list]: found };
  }
}

/** A list as a table, anything else as lines. */
function describe(answer: Record<string, unknown>, list: string | undefined): string {
  if (list === undefined) {
    const lines = linesOf(answer);
    return lines.length === 0 ? 'Done.\n' : `${renderTable(lines).join('\n')}\n`;
  }
  const rows = answer[list] as Record<string, unknown>[];
  if (rows.length === 0) return 'None.\n';
  const columns = Object.keys(rows[0]!).filter((name) => rows.every((row) => typeof row[name] !== 'object'));
  const cells = rows.map((row) => columns.map((name) => textOf(row[name])));
  return `${renderTable([columns, ...cells]).join('\n')}\n`;
}

function linesOf(value: Record<string, unknown>): string[][] {
  return Object.entries(value).flatMap(([name, member]) => {
    if (Array.isArray(member)) return [[name, member.map((one) => JSON.stringify(one)).join(' ')]];
    if (typeof member === 'object' && member !== null) return linesOf(member as Record<string, unknown>);
    return [[name, textOf(member)]];
  });
}

/** IAM's answers have strings, numbers and booleans in their leaves. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
}
