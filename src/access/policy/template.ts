import type { ConditionContext } from './condition-context.ts';
import { ANY_TEXT, literalPattern, patternOf, type Pattern } from './wildcard.ts';

/**
 * A string of a policy: text, and variables `${aws:username}`, `${aws:username, 'nobody'}`, `${*}`, `${?}`, `${$}`.
 * Variables exist in policies of version 2012-10-17 only. What a variable inserts is text: a `*` in it is no wildcard.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
 */
export interface Template {
  readonly source: string;
  readonly parts: readonly TemplatePart[];
  /** Of a template without variables. */
  readonly pattern: Pattern | undefined;
}

type TemplatePart =
  /** `*` and `?` in it are wildcards where the element knows them, unless it is literal. */
  | { readonly type: 'text'; readonly text: string; readonly isLiteral: boolean }
  /** Lower-case key; the fallback stands in for a key that the request does not have. */
  | { readonly type: 'variable'; readonly key: string; readonly fallback: string | undefined };

const VARIABLE = /\$\{([^{}]*)\}/g;
const NAMED = /^\s*([A-Za-z0-9_.:/+=@-]+)\s*(?:,\s*'([^']*)'\s*)?$/;

/** @throws TypeError when a variable is not well formed */
export function parseTemplate(source: string, hasVariables: boolean): Template {
  return templateOfParts(source, hasVariables ? parseParts(source) : [textPart(source)]);
}

function templateOfParts(source: string, parts: readonly TemplatePart[]): Template {
  const isPlain = parts.every((part) => part.type === 'text');
  return { source, parts, pattern: isPlain ? joinPatterns(parts.map(patternOfText)) : undefined };
}

/** At separators that stand in the policy itself, not in what a variable inserts; the last piece takes the rest. */
export function splitTemplate({ parts }: Template, separator: string, most: number): Template[] {
  const pieces: TemplatePart[][] = [[]];
  for (const part of parts) {
    if (part.type === 'variable') {
      pieces.at(-1)!.push(part);
      continue;
    }
    const texts = part.text.split(separator);
    const room = most - pieces.length;
    const taken = [...texts.slice(0, room), ...(texts.length > room ? [texts.slice(room).join(separator)] : [])];
    for (const [index, text] of taken.entries()) {
      if (index > 0) pieces.push([]);
      pieces.at(-1)!.push({ ...part, text });
    }
  }
  return pieces.map((piece) =>
    templateOfParts(piece.map((part) => (part.type === 'text' ? part.text : '')).join(''), piece),
  );
}

function parseParts(source: string): TemplatePart[] {
  const parts: TemplatePart[] = [];
  let at = 0;
  const addText = (text: string): void => {
    if (text.includes('${')) throw new TypeError(`a policy variable is not closed: ${source}`);
    if (text !== '') parts.push(textPart(text));
  };
  for (const match of source.matchAll(VARIABLE)) {
    addText(source.slice(at, match.index));
    parts.push(parseVariable(match[1]!));
    at = match.index + match[0].length;
  }
  addText(source.slice(at));
  if (parts.length === 0) parts.push(textPart(''));
  return parts;
}

function textPart(text: string): TemplatePart {
  return { type: 'text', text, isLiteral: false };
}

function parseVariable(content: string): TemplatePart {
  if (content === '*' || content === '?' || content === '$') return { type: 'text', text: content, isLiteral: true };
  const named = NAMED.exec(content);
  if (named === null) throw new TypeError(`not a policy variable: \${${content}}`);
  return { type: 'variable', key: named[1]!.toLowerCase(), fallback: named[2] };
}

/** For this request; undefined when a variable has not one value in it. */
export function resolvePattern(template: Template, context: ConditionContext): Pattern | undefined {
  if (template.pattern !== undefined) return template.pattern;
  const patterns: Pattern[] = [];
  for (const part of template.parts) {
    const value = part.type === 'text' ? undefined : valueOf(part, context);
    if (part.type === 'text') patterns.push(patternOfText(part));
    else if (value === undefined) return undefined;
    else patterns.push(literalPattern(value));
  }
  return joinPatterns(patterns);
}

/** As `resolvePattern`, for comparisons that know no wildcards. */
export function resolveText(template: Template, context: ConditionContext): string | undefined {
  let text = '';
  for (const part of template.parts) {
    const piece = part.type === 'text' ? part.text : valueOf(part, context);
    if (piece === undefined) return undefined;
    text += piece;
  }
  return text;
}

/** What the template may match for anybody: a wildcard in place of each variable. */
export function widestPattern(template: Template): Pattern {
  return template.pattern ?? joinPatterns(template.parts.map((part) => patternOfText(part)));
}

function patternOfText(part: TemplatePart): Pattern {
  if (part.type === 'variable') return ANY_TEXT;
  return part.isLiteral ? literalPattern(part.text) : patternOf(part.text);
}

function valueOf(part: Extract<TemplatePart, { type: 'variable' }>, context: ConditionContext): string | undefined {
  const values = context(part.key);
  if (values === undefined || values.length === 0) return part.fallback;
  return values.length === 1 ? values[0] : undefined;
}

function joinPatterns(patterns: readonly Pattern[]): Pattern {
  return patterns.length === 1 ? patterns[0]! : patterns.flat();
}
