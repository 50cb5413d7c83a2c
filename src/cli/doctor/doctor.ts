import { isMasterKeyExported } from '../../access/master-key.ts';
import type { Finding } from '../../admin/status-report.ts';
import { defaultCode } from '../../config/default-code.ts';
import type { Config } from '../../config/config-schema.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';
import { CALENDAR_DAY_MS } from '../../service/lifecycle/lifecycle-days.ts';
import type { Secrets } from '../server-types.ts';
import type { Settings } from '../settings.ts';
import { readRememberedCluster } from '../state-directory.ts';
import { checkDevices, inspectDisks } from './disk-checks.ts';
import { checkDescriptors, checkMemory, checkNode, checkSecretFiles } from './machine-checks.ts';

/** Said at each start, by `status` and by `doctor`: what lets acknowledged objects go earlier than anybody expects. */
export function configurationFindings(config: Pick<Config, 'durability' | 'lifecycle'>): Finding[] {
  return [...syncFindings(config), ...testClockFindings(config)];
}

function testClockFindings({ lifecycle }: Pick<Config, 'lifecycle'>): Finding[] {
  if (lifecycle.day === CALENDAR_DAY_MS) return [];
  const message = `lifecycle rules run by a TEST CLOCK: a day is ${lifecycle.day / 1000} s, objects expire that much earlier`;
  return [
    {
      code: 'lifecycle-test-clock',
      severity: 'warning',
      message,
      fix: 'Restart without --lifecycle-day (the default is 1 d).',
    },
  ];
}

function syncFindings({ durability }: Pick<Config, 'durability'>): Finding[] {
  if (durability.sync === 'strict') return [];
  const message =
    'syncing is RELAXED: writes are acknowledged before they are on disk; a power cut or a crash of the system loses them';
  return [{ code: 'sync-relaxed', severity: 'warning', message, fix: 'Restart with --sync strict (the default).' }];
}

/** What every start checks: quick, and writes nothing. Findings of severity `error` refuse the start. */
export async function briefFindings({
  settings,
  secrets,
}: {
  settings: Settings;
  secrets: Secrets;
}): Promise<Finding[]> {
  const { config, diskPaths, stateDirectory } = settings;
  const found = await Promise.all([
    inspectDisks(diskPaths, config),
    likelyCode(settings).then((code) => checkDevices(diskPaths, code)),
    checkDescriptors(config),
    checkMemory(config),
    checkSecretFiles(stateDirectory),
    checkMasterKey(settings, secrets),
  ]);
  return withoutRepeats([...configurationFindings(config), ...checkNode(process.versions.node), ...found.flat()]);
}

/** The code of the cluster when it is known, else the one that formatting would take. */
async function likelyCode({ config, diskPaths, stateDirectory }: Settings): Promise<ErasureCode> {
  const remembered = await readRememberedCluster(stateDirectory);
  return remembered?.code ?? config.storage.code ?? defaultCode(Math.max(1, diskPaths.length));
}

async function checkMasterKey(settings: Settings, secrets: Secrets): Promise<Finding[]> {
  const { root } = settings.config;
  if (secrets.masterKey === undefined) {
    const message = 'there is no master key: stored credentials cannot be opened';
    const fix = 'Put master.key back into the state directory, or: holdfast credentials reset';
    return [{ code: 'master-key-missing', severity: 'warning', message, fix }];
  }
  if (root.masterKey !== '' || root.masterKeyFile !== '') return [];
  if (await isMasterKeyExported(settings.stateDirectory, secrets.masterKey)) return [];
  const message = 'the master key exists only in the state directory';
  const fix = `holdfast credentials export-key --to FILE   # and keep FILE somewhere else`;
  return [{ code: 'master-key-not-exported', severity: 'warning', message, fix }];
}

/** One file system under six directories is one finding, not six. */
function withoutRepeats(findings: readonly Finding[]): Finding[] {
  const groups = new Map<string, Finding[]>();
  for (const finding of findings) {
    const groupKey = `${finding.code}\n${finding.severity}\n${finding.fix ?? ''}`;
    groups.set(groupKey, [...(groups.get(groupKey) ?? []), finding]);
  }
  return [...groups.values()].flatMap((group) => {
    const first = group[0];
    if (first === undefined || group.length < 3) return group;
    return [{ ...first, message: `${first.message} (and ${group.length - 1} more like it)` }];
  });
}
