/** The elements S3 adds to SignatureDoesNotMatch. Texts come with one character per byte. */
export function signatureMismatch(mismatch: {
  accessKeyId: string;
  stringToSign: string;
  provided: string;
  canonicalRequest?: string;
}): Record<string, string> {
  const details: Record<string, string> = {
    AWSAccessKeyId: mismatch.accessKeyId,
    StringToSign: textOfBytes(mismatch.stringToSign),
    SignatureProvided: mismatch.provided,
    StringToSignBytes: hexBytes(mismatch.stringToSign),
  };
  if (mismatch.canonicalRequest !== undefined) {
    details['CanonicalRequest'] = textOfBytes(mismatch.canonicalRequest);
    details['CanonicalRequestBytes'] = hexBytes(mismatch.canonicalRequest);
  }
  return details;
}

function textOfBytes(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function hexBytes(bytes: string): string {
  return Buffer.from(bytes, 'latin1')
    .toString('hex')
    .replace(/../g, (pair) => `${pair} `)
    .trimEnd();
}
