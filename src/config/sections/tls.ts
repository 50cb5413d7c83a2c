import { key } from '../config-key.ts';
import { certificateFiles, listOf } from '../value-types.ts';

export const tlsSection = {
  certificates: key({
    type: listOf(certificateFiles()),
    default: [],
    env: 'HOLDFAST_TLS_CERTIFICATES',
    what: 'Certificate and key files; chosen by server name, the first is the fallback. With any, S3 speaks HTTPS only.',
    why: 'Plain HTTP on loopback needs none; `holdfast tls self-signed` makes a first pair.',
  }),
} as const;
