import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { makePrivateDirectory, writePrivateFile } from '../access/private-file.ts';
import { type Command, CommandFailure, strayArgument, UsageError } from './command.ts';
import { shellQuote } from './explain-error.ts';
import { loadSettings } from './settings.ts';

const DAY_MS = 86_400_000;
const VALID_DAYS = 397;

export const tlsCommand: Command = {
  name: 'tls',
  summary: 'make a self-signed certificate for a first HTTPS',
  usage: 'tls self-signed [--hosts NAME,ADDRESS…] [--out DIR]',
  details: `Writes certificate.pem and key.pem (0600), valid for ${VALID_DAYS} days, and prints the flag that uses them. Clients must be
told to trust the certificate, for instance with AWS_CA_BUNDLE. Existing files are never overwritten.`,
  flags: {
    hosts: {
      isSwitch: false,
      what: 'names and addresses, separated by commas; default: localhost, both loopbacks, this host',
    },
    out: { isSwitch: false, what: 'directory to write to; default: tls in the state directory' },
  },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [action, ...rest] = invocation.positionals;
    if (action === undefined) throw new UsageError('say what to make: holdfast tls self-signed');
    const stray = action === 'self-signed' ? rest[0] : action;
    if (stray !== undefined) throw strayArgument(tlsCommand, stray);
    const settings = await loadSettings(context, { ...invocation, positionals: [] });
    const out = path.resolve(
      context.workingDirectory,
      invocation.own['out'] ?? path.join(settings.stateDirectory, 'tls'),
    );
    const certificateFile = path.join(out, 'certificate.pem');
    const keyFile = path.join(out, 'key.pem');
    const existing = [certificateFile, keyFile].find((file) => existsSync(file));
    if (existing !== undefined) {
      throw new CommandFailure(`${existing} exists; nothing was written`, {
        hint: 'Move it away, or give another --out DIR',
      });
    }
    const nowMs = context.clock.nowMs();
    const { makeSelfSignedCertificate } = await import('./self-signed-certificate.ts');
    const { certificatePem, keyPem } = makeSelfSignedCertificate({
      hosts: readHosts(invocation.own['hosts']),
      notBefore: new Date(nowMs - DAY_MS),
      notAfter: new Date(nowMs + VALID_DAYS * DAY_MS),
      serialNumber: context.randomness.bytes(16),
    });
    await makePrivateDirectory(out);
    await writePrivateFile(keyFile, keyPem);
    await writePrivateFile(certificateFile, certificatePem);
    context.stdout.write(`Wrote ${certificateFile} and ${keyFile}. Serve with:
  --tls-certificates ${shellQuote(`${certificateFile}:${keyFile}`)}
and let clients trust it:
  export AWS_CA_BUNDLE=${shellQuote(certificateFile)}
`);
    return 0;
  },
};

function readHosts(option: string | undefined): string[] {
  if (option === undefined) return [...new Set(['localhost', '127.0.0.1', '::1', hostname()])];
  const hosts = option
    .split(',')
    .map((host) => host.trim())
    .filter((host) => host !== '');
  const wrong = hosts.find((host) => !/^[A-Za-z0-9.*:-]{1,253}$/.test(host));
  if (hosts.length === 0 || wrong !== undefined)
    throw new UsageError(`--hosts: "${wrong ?? ''}" is no name or address`);
  return hosts;
}
