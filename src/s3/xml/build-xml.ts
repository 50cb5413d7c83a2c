import { Builder } from 'xml2js';
import { S3_NAMESPACE } from './write-xml.ts';

/** A document as nested values; an array repeats its element, `undefined` leaves it out. */
export type XmlValue =
  string | number | boolean | undefined | readonly XmlValue[] | { readonly [name: string]: XmlValue };

const builder = new Builder({ headless: true, renderOpts: { pretty: false } });

/**
 * A document of the server's own words with S3's namespace: bucket configurations, locations, owners. Documents that
 * carry keys are written with `write-xml.ts`, which can hold every character of a key.
 */
export function buildXml(rootName: string, content: { readonly [name: string]: XmlValue } | string): string {
  const root =
    typeof content === 'string'
      ? { $: { xmlns: S3_NAMESPACE }, _: content }
      : { $: { xmlns: S3_NAMESPACE }, ...withoutUndefined(content) };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.buildObject({ [rootName]: root })}`;
}

function withoutUndefined(content: { readonly [name: string]: XmlValue }): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(content)) {
    if (value === undefined) continue;
    kept[name] =
      typeof value === 'object' && !Array.isArray(value)
        ? withoutUndefined(value as { readonly [name: string]: XmlValue })
        : value;
  }
  return kept;
}
