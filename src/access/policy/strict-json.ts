const MAX_DEPTH = 16;

/**
 * JSON in which no object has two members of one name, nesting is bounded, and a name such as `__proto__` is an ordinary
 * one that is refused by whoever reads the value. Two readers of one document must see the same.
 *
 * @throws SyntaxError
 */
export function parseStrictJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  refuseDuplicates(text);
  return value;
}

/** `text` is valid JSON. */
function refuseDuplicates(text: string): void {
  const open: (Set<string> | undefined)[] = [];
  let at = 0;
  let isName = false;
  while (at < text.length) {
    const character = text[at]!;
    if (character === '"') {
      const end = endOfString(text, at);
      if (isName) addName(open.at(-1), JSON.parse(text.slice(at, end)) as string);
      isName = false;
      at = end;
      continue;
    }
    if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : undefined);
      if (open.length > MAX_DEPTH) throw new SyntaxError('the document is nested too deeply');
    } else if (character === '}' || character === ']') {
      open.pop();
    }
    if (character === '{' || character === ',') isName = open.at(-1) !== undefined;
    at += 1;
  }
}

function addName(names: Set<string> | undefined, name: string): void {
  if (names?.has(name) === true) throw new SyntaxError(`a member is there twice: ${name}`);
  names?.add(name);
}

/** After the closing quote of the string that opens at `at`. */
function endOfString(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}
