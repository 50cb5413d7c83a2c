import { S3Error } from '../../errors/s3-error.ts';

export interface WholeNumberOptions {
  /** Name of the parameter or header, for the error. */
  name: string;
  minimum: number;
  maximum: number;
  message: string;
}

/** A decimal whole number within bounds. @throws S3Error InvalidArgument */
export function readWholeNumber(value: string, { name, minimum, maximum, message }: WholeNumberOptions): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= minimum && number <= maximum) return number;
  throw new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}

/** `partNumber=`. @throws S3Error InvalidArgument */
export function readPartNumber(value: string): number {
  return readWholeNumber(value, {
    name: 'partNumber',
    minimum: 1,
    maximum: 10_000,
    message: 'Part number must be an integer between 1 and 10000, inclusive',
  });
}

/** `max-parts`, `max-uploads` and the like: at most 1,000 are given, however many are asked for. @throws S3Error InvalidArgument */
export function readPageLimit(value: string | undefined, name: string): number {
  if (value === undefined || value === '') return 1000;
  const maximum = 2 ** 31 - 1;
  const message = `Argument ${name} must be an integer between 0 and ${maximum}`;
  return Math.min(1000, readWholeNumber(value, { name, minimum: 0, maximum, message }));
}

/** `part-number-marker` and its header form: parts after this one. @throws S3Error InvalidArgument */
export function readPartNumberMarker(value: string | undefined, name: string): number {
  if (value === undefined || value === '') return 0;
  const maximum = 2 ** 31 - 1;
  const message = `Argument ${name} must be an integer between 0 and ${maximum}`;
  return readWholeNumber(value, { name, minimum: 0, maximum, message });
}
