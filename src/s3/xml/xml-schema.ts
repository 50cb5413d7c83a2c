/** What an XML body may contain, as data: the reader accepts nothing else, and its result has the type of the schema. */
export type XmlNode = XmlText | XmlStructure<Record<string, XmlNode | XmlList<XmlNode>>>;

export interface XmlText {
  readonly kind: 'text';
}

export interface XmlStructure<M extends Record<string, XmlNode | XmlList<XmlNode>>> {
  readonly kind: 'structure';
  readonly members: ReadonlyMap<string, XmlNode | XmlList<XmlNode>>;
  /** Only for the type. */
  readonly shape?: M;
}

/** An element that may be repeated; the result is an array, empty when it does not occur. */
export interface XmlList<N extends XmlNode> {
  readonly kind: 'list';
  readonly element: N;
}

export type XmlResult<N> = N extends XmlText
  ? string
  : N extends XmlStructure<infer M>
    ? { -readonly [K in keyof M as M[K] extends XmlList<XmlNode> ? K : never]: XmlListResult<M[K]> } & {
        -readonly [K in keyof M as M[K] extends XmlList<XmlNode> ? never : K]?: XmlResult<M[K]>;
      }
    : never;
type XmlListResult<L> = L extends XmlList<infer N> ? XmlResult<N>[] : never;

export const text: XmlText = { kind: 'text' };

export function structure<M extends Record<string, XmlNode | XmlList<XmlNode>>>(members: M): XmlStructure<M> {
  return { kind: 'structure', members: new Map(Object.entries(members)) };
}

export function list<N extends XmlNode>(element: N): XmlList<N> {
  return { kind: 'list', element };
}
