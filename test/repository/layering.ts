/** The layers of docs/ARCHITECTURE.md as data, and the check that a list of files obeys them. */
export interface SourceFile {
  /** Relative to the repository root, with `/`. */
  path: string;
  text: string;
}

const FOUNDATION = ['model', 'errors', 'checksums', 'encryption', 'streams', 'memory', 'observability'];
const STORE_INTERFACES = ['data-store/data-store.ts', 'metadata-store/metadata-store.ts'];

/** What each folder under src/ may import besides itself; entries are folders or single files. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: FOUNDATION,
  errors: FOUNDATION,
  checksums: FOUNDATION,
  encryption: FOUNDATION,
  streams: FOUNDATION,
  memory: FOUNDATION,
  observability: FOUNDATION,
  disk: FOUNDATION,
  'data-store': [...FOUNDATION, 'disk'],
  'metadata-store': [...FOUNDATION, 'disk'],
  access: [...FOUNDATION, ...STORE_INTERFACES],
  keys: [...FOUNDATION, ...STORE_INTERFACES, 'access'],
  service: [...FOUNDATION, ...STORE_INTERFACES, 'keys'],
  healing: [...FOUNDATION, ...STORE_INTERFACES],
  config: FOUNDATION,
  http: FOUNDATION,
  s3: [...FOUNDATION, 'service', 'access', 'http', 'data-store/data-store.ts'],
  // Shares the authenticator, the limits of callers, the facts of a request and the writing of XML with S3, and nothing else of it.
  iam: [
    ...FOUNDATION,
    'access',
    'http',
    's3/caller-gate.ts',
    's3/note-decision.ts',
    's3/request-conditions.ts',
    's3/store-error-to-s3.ts',
    's3/sigv4/percent-encoding.ts',
    's3/sigv4/raw-request.ts',
    's3/sigv4/request-authenticator.ts',
    's3/xml/write-xml.ts',
  ],
  admin: [...FOUNDATION, 'service', 'access', 'http'],
  console: [...FOUNDATION, 'service', 'access', 'http'],
};

/** Folders that may name anything: the composition root and the commands around it. */
const UNRESTRICTED = new Set(['main.ts', 'server.ts', 'composition', 'cli']);
const PURE = [/^src\/data-store\/erasure\//, /^src\/data-store\/placement\.ts$/];
const PURE_FORBIDDEN = /^node:(fs|net|http|https|child_process|worker_threads|timers)/;
/** Files of the data path outside src/disk that may touch files of their own: the state directory, certificates, workers. */
const MAY_USE_FS = [
  /^src\/(cli|composition|config|access|main\.ts|server\.ts|disk)(\/|$)?/,
  /^src\/http\/tls-/,
  /^src\/admin\//,
];
const STATE_DIRECTORY_FS = [/^src\/metadata-store\/sqlite\//, /^src\/metadata-store\/journal\/.*checkpoint/];

export function importsOf(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(/(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]/g)) {
    if (match[1] !== undefined) found.push(match[1]);
  }
  for (const match of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
    if (match[1] !== undefined) found.push(match[1]);
  for (const match of text.matchAll(/(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g))
    if (match[1] !== undefined) found.push(match[1]);
  return found;
}

function resolve(from: string, specifier: string): string {
  const parts = from.split('/').slice(0, -1);
  for (const piece of specifier.split('/')) {
    if (piece === '..') parts.pop();
    else if (piece !== '.') parts.push(piece);
  }
  return parts.join('/');
}

/** One sentence per violation. */
export function layeringViolations(files: readonly SourceFile[]): string[] {
  const violations: string[] = [];
  for (const file of files) {
    if (!file.path.startsWith('src/')) continue;
    const inside = file.path.slice('src/'.length);
    const folder = inside.split('/')[0] ?? '';
    for (const specifier of importsOf(file.text)) {
      if (!specifier.startsWith('.')) {
        if (PURE.some((pattern) => pattern.test(file.path)) && PURE_FORBIDDEN.test(specifier)) {
          violations.push(`${file.path} is pure and imports ${specifier}`);
        }
        const usesFs = specifier === 'node:fs' || specifier === 'node:fs/promises';
        if (usesFs && ![...MAY_USE_FS, ...STATE_DIRECTORY_FS].some((pattern) => pattern.test(file.path))) {
          violations.push(`${file.path} imports ${specifier}: file access of the data path belongs to src/disk`);
        }
        continue;
      }
      if (UNRESTRICTED.has(folder)) continue;
      const target = resolve(file.path, specifier).slice('src/'.length);
      const targetFolder = target.split('/')[0] ?? '';
      if (targetFolder === folder) {
        if (folder === 's3' && file.path.startsWith('src/s3/operations/') && target.startsWith('s3/operations/')) {
          violations.push(`${file.path} imports ${target}: operations never import each other`);
        }
        continue;
      }
      const allowed = MAY_IMPORT[folder];
      if (allowed === undefined) violations.push(`src/${folder} is not a layer of docs/ARCHITECTURE.md`);
      else if (!allowed.includes(targetFolder) && !allowed.includes(target)) {
        violations.push(`${file.path} imports ${target}: ${folder} may not use ${targetFolder}`);
      }
    }
  }
  return violations;
}
