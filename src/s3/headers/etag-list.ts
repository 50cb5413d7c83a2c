/**
 * The ETags of `If-Match` and `If-None-Match`, without quotes; `*` stands for itself. Weak tags compare like strong
 * ones (S3 makes no difference), and tags without quotes are taken, as S3 does. Empty elements are dropped.
 */
export function parseEtagList(value: string): string[] {
  const etags: string[] = [];
  let position = 0;
  while (position < value.length) {
    const character = value[position]!;
    if (character === ' ' || character === '\t' || character === ',') {
      position++;
      continue;
    }
    if (value.startsWith('W/"', position)) position += 2;
    if (value[position] === '"') {
      const end = value.indexOf('"', position + 1);
      etags.push(value.slice(position + 1, end === -1 ? value.length : end));
      position = end === -1 ? value.length : end + 1;
    } else {
      const comma = value.indexOf(',', position);
      const end = comma === -1 ? value.length : comma;
      etags.push(value.slice(position, end).trim());
      position = end;
    }
  }
  return etags;
}

/** True when `*` or this ETag (without quotes) is in the list. */
export function etagListMatches(etags: readonly string[], etag: string): boolean {
  return etags.includes('*') || etags.includes(etag);
}

/** An ETag as a client sent it (`ETag` elements of CompleteMultipartUpload, `If-Match`), without quotes. */
export function unquoteEtag(value: string): string {
  const trimmed = value.trim();
  return trimmed.length >= 2 && trimmed.startsWith('"') && trimmed.endsWith('"') ? trimmed.slice(1, -1) : trimmed;
}
