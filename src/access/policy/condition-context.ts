/**
 * What a request says of a condition key, by its lower-case name: its values, or undefined when the request has none.
 * Computed when it is asked for: most policies name few keys.
 */
export type ConditionContext = (key: string) => readonly string[] | undefined;
