import { S3Error } from '../../errors/s3-error.ts';
import type { DefaultRetention, ObjectLockConfiguration } from '../../model/bucket-configuration.ts';
import type { LegalHold, Retention } from '../../model/object-lock.ts';
import { parseIsoTimestamp } from '../headers/iso-timestamp.ts';
import { checkRetainUntil, isRetentionMode } from '../headers/object-lock-headers.ts';
import type { S3Request } from '../operation.ts';
import { readOptionalXmlBody } from './read-xml-body.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from './write-xml.ts';
import { structure, text, type XmlResult } from './xml-schema.ts';

/** 100 years, as AWS bounds retention. */
const DAYS_LIMIT = 36_500;
const YEARS_LIMIT = 100;

const DEFAULT_RETENTION = structure({ Mode: text, Days: text, Years: text });
const CONFIGURATION = structure({
  ObjectLockEnabled: text,
  Rule: structure({ DefaultRetention: DEFAULT_RETENTION }),
});
const RETENTION = structure({ Mode: text, RetainUntilDate: text });
const LEGAL_HOLD = structure({ Status: text });

/** @throws S3Error MalformedXML | InvalidArgument (period) | NotImplemented (event holds) | BadDigest */
export async function readObjectLockConfiguration(request: S3Request): Promise<ObjectLockConfiguration> {
  const body = await readOptionalXmlBody(request, CONFIGURATION);
  if (body?.ObjectLockEnabled !== 'Enabled') throw new S3Error('MalformedXML');
  if (body.Rule === undefined) return {};
  if (body.Rule.DefaultRetention === undefined) throw new S3Error('MalformedXML');
  return { defaultRetention: readDefaultRetention(body.Rule.DefaultRetention) };
}

function readDefaultRetention({
  Mode: mode,
  Days: days,
  Years: years,
}: XmlResult<typeof DEFAULT_RETENTION>): DefaultRetention {
  if (!isRetentionMode(mode) || (days === undefined) === (years === undefined)) throw new S3Error('MalformedXML');
  return days !== undefined
    ? { mode, days: readPeriod('Days', days, DAYS_LIMIT) }
    : { mode, years: readPeriod('Years', years!, YEARS_LIMIT) };
}

function readPeriod(name: 'Days' | 'Years', value: string, limit: number): number {
  if (!/^\s*[+-]?\d+\s*$/.test(value)) throw new S3Error('MalformedXML');
  const period = Number(value);
  if (period >= 1 && period <= limit) return period;
  throw new S3Error('InvalidArgument', {
    message:
      period < 1 ? 'Default retention period must be a positive integer value.' : 'Default retention period too large.',
    details: { ArgumentName: name, ArgumentValue: value.trim() },
  });
}

export function objectLockConfigurationXml({ defaultRetention }: ObjectLockConfiguration): string {
  const rule =
    defaultRetention === undefined
      ? ''
      : xmlGroup(
          'Rule',
          xmlGroup(
            'DefaultRetention',
            xmlText('Mode', defaultRetention.mode) +
              xmlOptional('Days', defaultRetention.days) +
              xmlOptional('Years', defaultRetention.years),
          ),
        );
  return xmlDocument('ObjectLockConfiguration', xmlText('ObjectLockEnabled', 'Enabled') + rule);
}

/** `undefined`: an empty document, which removes the retention. @throws S3Error MalformedXML | InvalidArgument | BadDigest */
export async function readRetention(request: S3Request): Promise<Retention | undefined> {
  const body = await readOptionalXmlBody(request, RETENTION);
  if (body === undefined) throw new S3Error('MalformedXML');
  const { Mode: mode, RetainUntilDate: date } = body;
  if (mode === undefined && date === undefined) return undefined;
  const retainUntilMs = date === undefined ? undefined : parseIsoTimestamp(date);
  if (!isRetentionMode(mode) || date === undefined || retainUntilMs === undefined) throw new S3Error('MalformedXML');
  checkRetainUntil(retainUntilMs, request.nowMs, { name: 'RetainUntilDate', value: date });
  return { mode, retainUntilMs };
}

export function retentionXml({ mode, retainUntilMs }: Retention): string {
  const date = new Date(retainUntilMs).toISOString();
  return xmlDocument('Retention', xmlText('Mode', mode) + xmlText('RetainUntilDate', date));
}

/** @throws S3Error MalformedXML | BadDigest */
export async function readLegalHold(request: S3Request): Promise<LegalHold> {
  const status = (await readOptionalXmlBody(request, LEGAL_HOLD))?.Status;
  if (status === 'ON' || status === 'OFF') return status;
  throw new S3Error('MalformedXML');
}

export function legalHoldXml(status: LegalHold): string {
  return xmlDocument('LegalHold', xmlText('Status', status));
}
