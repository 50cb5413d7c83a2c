import type { SourceFile } from './layering.ts';

interface TidyRule {
  name: string;
  applies: RegExp;
  except?: RegExp;
  finds: RegExp;
}

// Patterns are assembled so that this file does not report itself.
const word = (...parts: string[]): string => parts.join('');

export const TIDY_RULES: readonly TidyRule[] = [
  { name: 'no default export', applies: /^(src|bench|tools)\/.*\.ts$/, finds: /^export default /m },
  {
    name: 'no enum or namespace',
    applies: /^(src|bench|test)\/.*\.ts$/,
    finds: /^\s*(export )?(const )?(enum|namespace) \w/m,
  },
  {
    name: 'no unfinished word',
    applies: /^(src|bench)\/.*\.ts$/,
    finds: new RegExp(`\\b(${word('TO', 'DO')}|${word('FIX', 'ME')}|${word('X', 'XX')})\\b`),
  },
  {
    name: 'time and randomness are injected',
    applies: /^src\/.*\.ts$/,
    except: /^src\/(observability\/system-clock|main)\.ts$|^src\/cli\//,
    finds: /\bDate\.now\(|\bperformance\.now\(|\bMath\.random\(|(?<![.\w])setTimeout\(|(?<![.\w])setInterval\(/,
  },
  {
    name: 'process.env is read in main.ts only',
    applies: /^src\/.*\.ts$/,
    except: /^src\/main\.ts$/,
    finds: /\bprocess\.env\b/,
  },
  {
    name: 'process.exit only in main.ts',
    applies: /^src\/.*\.ts$/,
    except: /^src\/main\.ts$/,
    finds: /\bprocess\.exit\(/,
  },
  { name: 'no focused test', applies: /^test\/.*\.ts$/, finds: /\b(describe|it|test)\.only\(/ },
  {
    name: 'no machine path',
    applies: /\.(ts|cjs|mjs|json|md|toml|sh|yml|yaml|service)$|Dockerfile|^\.ci\//,
    except: /^package-lock\.json$/,
    finds: new RegExp(`(^|[^\\w.~/-])/(${word('wo', 'rk')}|${word('ro', 'ot')}|${word('ho', 'me')})/[a-z]`, 'm'),
  },
  {
    name: 'no registry host',
    applies: /./,
    finds: new RegExp(word('registry', '\\.npmjs') + '|' + word('pypi', '\\.org') + '|' + word('proxy', '\\.golang')),
  },
  {
    name: 'no folder without a meaning',
    applies: /^(src|test|bench)\/(.*\/)?(utils|common|helpers|lib)\//,
    finds: /^/,
  },
];

/** One sentence per violation, with the line. */
export function tidyViolations(files: readonly SourceFile[]): string[] {
  const violations: string[] = [];
  for (const file of files) {
    for (const rule of TIDY_RULES) {
      if (!rule.applies.test(file.path) || rule.except?.test(file.path)) continue;
      const match = rule.finds.exec(file.text);
      if (match === null) continue;
      const line = file.text.slice(0, match.index).split('\n').length;
      violations.push(`${file.path}:${line}: ${rule.name}`);
    }
  }
  return violations;
}
